"""One log line per request; it contains no pixels."""

from __future__ import annotations

import logging
import re
from random import getrandbits
from typing import TYPE_CHECKING

from service.errors import FAILURE, REQUEST_ID
from service.inference import INFERENCE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from service.inference import InferenceRecord

# Probes and scrapes come every few seconds: their lines are logged at level debug.
_PROBED_PATHS = ("/health", "/metrics", "/ping", "/v2/health")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_MAX_HEADER_CHARACTERS = 256

_log = logging.getLogger("service.requests")


def assign_request_id(environ: WSGIEnvironment) -> None:
    """Store the id of a request: the client's `X-Request-ID` if that is valid, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID")
    valid = given is not None and _REQUEST_ID.fullmatch(given)
    # An id is no secret; the operating system's random bytes take ten times as long.
    environ[REQUEST_ID] = given if valid else f"{getrandbits(128):032x}"  # nosec B311


def log_request(environ: WSGIEnvironment, status: int, seconds: float) -> None:
    """Log a request that has been answered."""
    probing = environ["PATH_INFO"].startswith(_PROBED_PATHS)
    level = logging.DEBUG if probing else logging.INFO
    if _log.isEnabledFor(level):
        _log.log(level, "request", extra={"fields": _fields(environ, status, seconds)})


def _fields(environ: WSGIEnvironment, status: int, seconds: float) -> dict[str, str | int | float]:
    path = environ["PATH_INFO"][:_MAX_HEADER_CHARACTERS]
    fields: dict[str, str | int | float] = {
        "request_id": environ[REQUEST_ID],
        "method": environ["REQUEST_METHOD"][:_MAX_HEADER_CHARACTERS],
        "path": path if path.isascii() else path.encode("latin-1").decode(errors="replace"),
        "status": status,
        "ms": _milliseconds(seconds),
        "client": environ.get("REMOTE_ADDR", ""),
    }
    inference: InferenceRecord | None = environ.get(INFERENCE)
    if inference:
        fields["model"] = inference.model
        fields["version"] = inference.version
        fields["images"] = len(inference.probabilities)
        fields["decode_ms"] = _milliseconds(inference.decode_seconds)
        fields["predict_ms"] = _milliseconds(inference.predict_seconds)
        fields["encode_ms"] = _milliseconds(inference.encode_seconds)
    if failure := environ.get(FAILURE):
        fields["error"] = failure
    if traceparent := environ.get("HTTP_TRACEPARENT"):
        fields["traceparent"] = traceparent[:_MAX_HEADER_CHARACTERS]
    return fields


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)

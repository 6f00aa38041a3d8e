"""What is told of each request: its id, a line in the log, and figures for Prometheus."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import request

from nncore.types import Array
from service.metrics import Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What asks for these asks every few seconds: their lines are for who wants to see everything.
_WATCHERS = ("/health", "/metrics", "/ping", "/v2/health")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_LONGEST_HEADER = 256
# A browser that is led to an answer shall make nothing of it but what it is.
SAFE_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
# Images and what is in them are nobody's but the client's.
_NOT_KEPT = ("Cache-Control", "no-store")
# Where a request's WSGI environment has its observation.
OBSERVATION = "nodestack.observation"

_log = logging.getLogger("service.requests")


@dataclass(frozen=True, slots=True)
class Inference:
    """One request's way through the core.

    Attributes:
        model: The model's name.
        version: Its version.
        probabilities: float32 `(batch, classes)`.
        decode_seconds: From the body to the network's input.
        predict_seconds: To the probabilities, waiting for other requests included.
        encode_seconds: To the answer.
    """

    model: str
    version: int
    probabilities: Array
    decode_seconds: float
    predict_seconds: float
    encode_seconds: float


@dataclass(slots=True)
class Observation:
    """What is known of a request that is being answered.

    Attributes:
        request_id: The client's own, from `X-Request-ID`, or a new one.
        route: The route that answers it, as it is written in the code.
        protocol: The protocol that the route belongs to.
        inference: What it asked of a model, once that is done.
        failure: Why it fails, where that is the service's fault.
    """

    request_id: str
    route: str = "none"
    protocol: str = "none"
    inference: Inference | None = None
    failure: str | None = None


def observation() -> Observation:
    """Give the observation of the current request."""
    observed: Observation = request.environ[OBSERVATION]
    return observed


class Observer:
    """Times, counts and logs every request, and adds what every answer's head carries.

    It goes around the application: Flask's own hooks cost a tenth of a request's time.

    Args:
        application: What answers.
        metrics: Where requests are counted.
    """

    def __init__(self, application: WSGIApplication, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        started = perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        observed = Observation(given if _REQUEST_ID.fullmatch(given) else _new_id())
        environ[OBSERVATION] = observed
        status = 500

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            # Where it has been: Flask forgets its request before it returns.
            asked = environ.get("werkzeug.request")
            if asked and getattr(asked, "url_rule", None):
                observed.route, observed.protocol = asked.url_rule.rule, asked.blueprint
            own = {name for name, _ in headers}
            headers.append(("X-Request-ID", observed.request_id))
            headers += [header for header in SAFE_HEADERS if header[0] not in own]
            if environ["REQUEST_METHOD"] == "POST":
                headers.append(_NOT_KEPT)
            return start_response(line, headers, *exc_info)

        self._metrics.in_flight += 1
        try:
            return self._application(environ, start)
        finally:
            self._metrics.in_flight -= 1
            self._note(environ, observed, status, perf_counter() - started)

    def _note(
        self, environ: WSGIEnvironment, observed: Observation, status: int, seconds: float
    ) -> None:
        self._metrics.count(observed.route, observed.protocol, status, seconds, observed.inference)
        watching = environ["PATH_INFO"].startswith(_WATCHERS)
        level = logging.DEBUG if watching else logging.INFO
        if _log.isEnabledFor(level):
            fields = _fields(environ, observed, status, seconds)
            _log.log(level, "request", extra={"fields": fields})


def _fields(
    environ: WSGIEnvironment, observed: Observation, status: int, seconds: float
) -> dict[str, str | int | float]:
    fields: dict[str, str | int | float] = {
        "request_id": observed.request_id,
        "method": environ["REQUEST_METHOD"][:_LONGEST_HEADER],
        "path": environ["PATH_INFO"][:_LONGEST_HEADER].encode("latin-1").decode(errors="replace"),
        "status": status,
        "ms": _milliseconds(seconds),
        "client": environ.get("REMOTE_ADDR", ""),
    }
    if inference := observed.inference:
        fields |= {
            "model": inference.model,
            "version": inference.version,
            "images": len(inference.probabilities),
            "decode_ms": _milliseconds(inference.decode_seconds),
            "predict_ms": _milliseconds(inference.predict_seconds),
            "encode_ms": _milliseconds(inference.encode_seconds),
        }
    if observed.failure:
        fields["error"] = observed.failure
    if traceparent := environ.get("HTTP_TRACEPARENT"):
        fields["traceparent"] = traceparent[:_LONGEST_HEADER]
    return fields


def _new_id() -> str:
    """Give a new id; it is no secret, and to ask the system for one takes ten times as long."""
    return f"{random.getrandbits(128):032x}"  # nosec B311


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)

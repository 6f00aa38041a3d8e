"""Cross-origin requests: with `CORS_ALLOW_ORIGINS`, pages of these origins may call the service."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_EXPOSED = "X-Request-ID, X-Model-Version, Retry-After, Inference-Header-Content-Length"
_MAX_AGE_SECONDS = 600


def is_preflight(environ: WSGIEnvironment, origins: Collection[str]) -> bool:
    """Return whether a browser asks if a page of one of the origins may send a request.

    It sends no API key with this question.
    """
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        and _is_allowed(environ.get("HTTP_ORIGIN", ""), origins)
    )


def cors_headers(environ: WSGIEnvironment, origins: Collection[str]) -> list[tuple[str, str]]:
    """Return the headers of the Fetch standard's CORS protocol that a response needs.

    Args:
        environ: The request.
        origins: Those that are allowed; "*" for all.
    """
    if not origins:
        return []
    headers, origin = [("Vary", "Origin")], environ.get("HTTP_ORIGIN", "")
    if _is_allowed(origin, origins):
        headers.append(("Access-Control-Allow-Origin", origin))
        headers.append(("Access-Control-Expose-Headers", _EXPOSED))
    if is_preflight(environ, origins):
        requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
        headers.append(("Access-Control-Allow-Methods", "GET, POST"))
        headers.append(("Access-Control-Allow-Headers", requested))
        headers.append(("Access-Control-Max-Age", str(_MAX_AGE_SECONDS)))
    return headers


def _is_allowed(origin: str, origins: Collection[str]) -> bool:
    return bool(origin) and ("*" in origins or origin in origins)

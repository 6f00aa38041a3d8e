"""Cross-origin requests: with `CORS_ALLOW_ORIGINS`, pages of these origins may call the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_EXPOSED = "X-Request-ID, X-Model-Version, Retry-After, Inference-Header-Content-Length"
_ALLOWED_METHODS = "GET, POST"
_MAX_AGE_SECONDS = 600


class Cors:
    """Adds the headers of the Fetch standard's CORS protocol.

    Args:
        origins: Those that are allowed; "*" for all.
    """

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    def headers(self, environ: WSGIEnvironment) -> list[tuple[str, str]]:
        """Return the headers that a response needs for the request's origin."""
        if not self._origins:
            return []
        origin = environ.get("HTTP_ORIGIN", "")
        if not self._allows(origin):
            return [("Vary", "Origin")]
        return [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", _EXPOSED),
        ]

    def preflight(self, environ: WSGIEnvironment) -> list[tuple[str, str]] | None:
        """Return the headers that answer a preflight request; None for any other request.

        A browser sends no API key with a preflight, so it is answered before keys are checked.
        """
        if (
            environ["REQUEST_METHOD"] != "OPTIONS"
            or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ
            or not self._allows(environ.get("HTTP_ORIGIN", ""))
        ):
            return None
        requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
        return [
            ("Access-Control-Allow-Methods", _ALLOWED_METHODS),
            ("Access-Control-Allow-Headers", requested),
            ("Access-Control-Max-Age", str(_MAX_AGE_SECONDS)),
        ]

    def _allows(self, origin: str) -> bool:
        return bool(origin) and ("*" in self._origins or origin in self._origins)

"""API keys: with `API_KEYS`, a request needs one of them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class ApiKeys:
    """The valid keys, by their digests: comparing takes the same time whatever is sent.

    Args:
        keys: Any one is accepted, so that an old key and its successor can overlap.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def identify(self, environ: WSGIEnvironment) -> str | None:
        """Return a name for the client, the digest of its key; None if the key is not valid."""
        digest = _digest(_sent_key(environ))
        # Not `any`: every digest is compared, whichever is equal.
        valid = sum(compare_digest(digest, known) for known in self._digests)
        return digest.hex() if valid else None

    def error(self, environ: WSGIEnvironment) -> RequestError:
        """Return the error for a request without a valid key (401)."""
        got = "an invalid one" if _sent_key(environ) else "none"
        return RequestError(
            401,
            f"expected a valid API key, got {got}: "
            "send it as Authorization: Bearer KEY or X-API-Key: KEY",
            {"WWW-Authenticate": "Bearer"},
        )


def _sent_key(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    own_header: str = environ.get("HTTP_X_API_KEY", "")
    return key.strip() if scheme.lower() == "bearer" else own_header


def _digest(key: str) -> bytes:
    return sha256(key.encode("latin-1")).digest()

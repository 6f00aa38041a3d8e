"""Who may ask: with `API_KEYS`, only who sends one of them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# Where a request's WSGI environment has whose key it came with.
CLIENT = "nodestack.client"


class ApiKeys:
    """Knows the keys, by their digests: neither a key's content nor its length shows in the time.

    Args:
        keys: Any of them will do, so that an old one and its successor are good for a while.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def check(self, environ: WSGIEnvironment) -> None:
        """Refuse a request without a right key, and note whose it is.

        Raises:
            RequestError: It has none, or another (401).
        """
        given = _given(environ)
        digest = _digest(given)
        # Not `any`: each is compared, whichever is right.
        if not sum(compare_digest(digest, known) for known in self._digests):
            raise RequestError(
                401,
                f"expected an API key of this service, got {'another' if given else 'none'}: "
                "send one as Authorization: Bearer KEY or X-API-Key: KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        environ[CLIENT] = digest.hex()


def _given(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    own: str = environ.get("HTTP_X_API_KEY", "")
    return key.strip() if scheme.lower() == "bearer" else own


def _digest(key: str) -> bytes:
    return sha256(key.encode("latin-1")).digest()

"""Access control by a request's head: API keys and a rate limit, both off by default."""

from __future__ import annotations

import ipaddress
import math
import time
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from service.settings import IpNetwork, Settings

# Load balancers and orchestrators ask these without a key, and often.
HEALTH_PATHS = frozenset(
    {"/health", "/health/live", "/health/ready", "/ping", "/v2/health/live", "/v2/health/ready"}
)


class AccessControl:
    """Checks the API key and the rate limit of requests; those of health routes always pass.

    Any of the keys is accepted, so that an old key and its successor can overlap. A client's rate
    is counted in fixed windows, each of which begins with a request, in each worker.
    """

    def __init__(self, settings: Settings) -> None:
        self._proxies = settings.forwarded_allow_ips
        self._digests = [_digest(key) for key in settings.api_keys]
        self._limit_text = settings.rate_limit
        if settings.rate_limit:
            import limits  # not above: it takes 0.1 s

            self._limit = limits.parse(settings.rate_limit)
            self._limiter = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())

    def check(self, environ: WSGIEnvironment) -> RequestError | None:
        """Return the error to answer with (401 or 429), None for a request that may pass.

        A request with a wrong key counts against the rate limit of its address, so that keys
        cannot be guessed at any speed. Scrapes of `/metrics` do not count.
        """
        if self._proxies:
            environ["REMOTE_ADDR"] = client_address(environ, self._proxies)
        path, client = environ["PATH_INFO"], environ.get("REMOTE_ADDR", "")
        if not (self._digests or self._limit_text) or path in HEALTH_PATHS:
            return None
        error = None
        if self._digests:
            key = _sent_key(environ)
            digest = _digest(key)
            # Not `any`: comparing takes the same time for every key.
            if sum(compare_digest(digest, known) for known in self._digests):
                client = digest.hex()
            else:
                error = RequestError(
                    401,
                    f"expected a valid API key, got {'an invalid one' if key else 'none'}: "
                    "send it as Authorization: Bearer KEY or X-API-Key: KEY",
                    {"WWW-Authenticate": "Bearer"},
                )
        if self._limit_text and (error or path != "/metrics"):
            return self._count(client) or error
        return error

    def _count(self, client: str) -> RequestError | None:
        """Count a request of a client; return the error if it is beyond the limit."""
        if self._limiter.hit(self._limit, client):
            return None
        reset, _ = self._limiter.get_window_stats(self._limit, client)
        seconds = max(1, math.ceil(reset - time.time()))
        return RequestError(
            429,
            f"rate limit of {self._limit_text} per client exceeded; retry after {seconds} s",
            {"Retry-After": str(seconds)},
        )


def client_address(environ: WSGIEnvironment, proxies: tuple[IpNetwork, ...]) -> str:
    """Return the address of the client behind trusted proxies, from X-Forwarded-For.

    That is the last address that is not a trusted proxy's; the ones before it are not verified.
    """
    address: str = environ.get("REMOTE_ADDR", "")
    for forwarded in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        try:
            own = ipaddress.ip_address(address)
            # A socket that listens on :: shows an IPv4 address as ::ffff:192.0.2.1.
            own = getattr(own, "ipv4_mapped", None) or own
            trusted = any(own in network for network in proxies)
            ipaddress.ip_address(forwarded.strip())
        except ValueError:
            break
        if not trusted:
            break
        address = forwarded.strip()
    return address


def _sent_key(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    own_header: str = environ.get("HTTP_X_API_KEY", "")
    return key.strip() if scheme.lower() == "bearer" else own_header


def _digest(key: str) -> bytes:
    return sha256(key.encode("latin-1")).digest()

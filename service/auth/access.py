"""Access control: decides from a request's head whether the service answers it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from service.auth.api_keys import ApiKeys
from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from service.settings import IpNetwork, Settings

# Load balancers and orchestrators ask these, without a key, often, and take an error for death.
HEALTH_PATHS = frozenset(
    {"/health", "/health/live", "/health/ready", "/ping", "/v2/health/live", "/v2/health/ready"}
)


class AccessControl:
    """Checks the API key and the rate limit of requests; those of health routes always pass.

    Args:
        settings: Which of the checks are on, and which proxies are trusted.
    """

    def __init__(self, settings: Settings) -> None:
        self._proxies = settings.forwarded_allow_ips
        self._keys = ApiKeys(settings.api_keys) if settings.api_keys else None
        self._limit = None
        if settings.rate_limit:
            # Imported only where it is on: the import takes 0.1 s.
            from service.auth.rate_limit import RateLimit

            self._limit = RateLimit(settings.rate_limit)

    def check(self, environ: WSGIEnvironment) -> RequestError | None:
        """Return the error to answer with (401 or 429), None for a request that may pass.

        A request with a wrong key counts against the rate limit of its address, so that keys
        cannot be guessed at any speed. Scrapes of `/metrics` do not count.
        """
        if self._proxies:
            environ["REMOTE_ADDR"] = client_address(environ, self._proxies)
        if not (self._keys or self._limit) or environ["PATH_INFO"] in HEALTH_PATHS:
            return None
        identity = self._keys.identify(environ) if self._keys else None
        if self._limit and (environ["PATH_INFO"] != "/metrics" or (self._keys and not identity)):
            try:
                self._limit.check(identity or environ.get("REMOTE_ADDR", ""))
            except RequestError as error:
                return error
        return self._keys.error(environ) if self._keys and not identity else None


def client_address(environ: WSGIEnvironment, proxies: tuple[IpNetwork, ...]) -> str:
    """Return the address of the client behind trusted proxies, from X-Forwarded-For.

    That is the last address that is not a trusted proxy's; what stands before it is the client's
    own claim.
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

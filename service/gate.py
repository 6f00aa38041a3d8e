"""A layer around the application that refuses some requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from service.bodies import discard_body
from service.error_answers import refuse
from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What asks for these is a load balancer: it has no key, asks often, and takes a refusal for death.
HEALTH_PATHS = frozenset(
    {"/health", "/health/live", "/health/ready", "/ping", "/v2/health/live", "/v2/health/ready"}
)


class Gate:
    """Refuses what a check is against; questions after health always pass.

    Args:
        application: What answers the others.
        check: Raises `RequestError` for a request that is not to be answered.
    """

    def __init__(
        self, application: WSGIApplication, check: Callable[[WSGIEnvironment], None]
    ) -> None:
        self._application = application
        self._check = check

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        if environ["PATH_INFO"] not in HEALTH_PATHS:
            try:
                self._check(environ)
            except RequestError as error:
                discard_body(environ["wsgi.input"])
                return refuse(error, environ, start_response)
        return self._application(environ, start_response)

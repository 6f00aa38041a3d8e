"""How much work a worker takes on at once; what is beyond it is refused at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

from service.bodies import discard_body
from service.error_answers import refuse
from service.errors import RequestError
from service.turns import Turns

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_RETRY_SECONDS = "1"
_MOST_BYTES = 4 * 2**20


class Admission:
    """Bounds the requests that a worker has read and not yet answered.

    A worker computes one thing at a time, so that each of these waits for those before it.
    Bodies that are still arriving do not count: a slow client takes no one's place.

    Args:
        most_requests: How many there may be. Of their bodies there may be 4 MiB in all; a request
            that is alone may be of any size.
    """

    def __init__(self, most_requests: int) -> None:
        self._most_requests = most_requests
        self._requests = 0
        self._bytes = 0

    def has_room(self, size: int = 0) -> bool:
        """Tell whether `admit` would let in a request with a body of a size in bytes."""
        crowded = self._requests > 0 and self._bytes + size > _MOST_BYTES
        return not crowded and self._requests < self._most_requests

    def refusal(self) -> RequestError:
        """Give the error for whom there is no room (503)."""
        return RequestError(
            503,
            f"expected fewer requests at once, got this one while {self._requests} wait: "
            "try again later",
            {"Retry-After": _RETRY_SECONDS},
        )

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Count a request with a body of a size in bytes in until it is answered.

        Raises:
            RequestError: There is too much to do (503).
        """
        if not self.has_room(size):
            raise self.refusal()
        self._requests += 1
        self._bytes += size
        try:
            yield
        finally:
            self._requests -= 1
            self._bytes -= size


class Doorkeeper:
    """Refuses what there is no room for before the application has any work with it.

    In an overload most requests are refused, and Flask's work on each of them would be what keeps
    the worker from those that it has taken on.

    Args:
        application: What answers; it has the last word, once it has read the body.
        admission: Knows what there is to do.
        turns: To refuse takes one, so that a crowd does not keep the others from theirs, nor
            a health check that arrives with it from being answered.
    """

    def __init__(self, application: WSGIApplication, admission: Admission, turns: Turns) -> None:
        self._application = application
        self._admission = admission
        self._turns = turns

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        if environ["REQUEST_METHOD"] == "POST":
            length = environ.get("CONTENT_LENGTH", "")
            if not self._admission.has_room(int(length) if length.isdecimal() else 0):
                answer = self.refuse(environ, start_response)
                # Its body may take long to arrive, and is read once that is answered.
                return ClosingIterator(answer, partial(discard_body, environ["wsgi.input"]))
        return self._application(environ, start_response)

    def refuse(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Answer a request that there is no room for it, and leave its body alone."""
        with self._turns.take(to_refuse=True):
            return refuse(self._admission.refusal(), environ, start_response)

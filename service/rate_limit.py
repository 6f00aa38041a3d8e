"""How often a client may ask: with `RATE_LIMIT`, so often, and no more, in each worker."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from service.api_keys import CLIENT
from service.errors import RequestError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class RateLimit:
    """Counts each client's requests: by its API key where there are keys, else by its address.

    A client's time begins with its first request, and again with the first one after its end.

    Args:
        limit: How many requests in what time: "100/minute", say.
    """

    def __init__(self, limit: str) -> None:
        self._text = limit
        self._limit = parse(limit)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def check(self, environ: WSGIEnvironment) -> None:
        """Refuse a request of a client that has asked too often; a scrape of metrics may always.

        Raises:
            RequestError: It is beyond the limit (429).
        """
        if environ["PATH_INFO"] == "/metrics":
            return
        client = environ.get(CLIENT) or environ.get("REMOTE_ADDR", "")
        if not self._limiter.hit(self._limit, client):
            at, _ = self._limiter.get_window_stats(self._limit, client)
            seconds = max(1, math.ceil(at - time.time()))
            raise RequestError(
                429,
                f"expected at most {self._text} from a client, got more: try again in {seconds} s",
                {"Retry-After": str(seconds)},
            )

"""Rate limit: with `RATE_LIMIT`, so many requests per client in a fixed time, in each worker."""

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from service.errors import RequestError


class RateLimit:
    """Counts the requests of each client in a window that begins with its first request.

    Args:
        limit: How many requests in which time, such as "100/minute".
    """

    def __init__(self, limit: str) -> None:
        self._text = limit
        self._limit = parse(limit)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def check(self, client: str) -> None:
        """Count a request of a client.

        Raises:
            RequestError: It is beyond the limit (429).
        """
        if not self._limiter.hit(self._limit, client):
            reset, _ = self._limiter.get_window_stats(self._limit, client)
            seconds = max(1, math.ceil(reset - time.time()))
            raise RequestError(
                429,
                f"rate limit of {self._text} per client exceeded; retry after {seconds} s",
                {"Retry-After": str(seconds)},
            )

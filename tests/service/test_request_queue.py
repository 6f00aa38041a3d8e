"""The order of requests in a worker's queue."""

import asyncio
import time
from collections.abc import Callable

from service.request_queue import RequestQueue

LARGE = 10**6


def request(log: list[str], name: str, seconds: float = 0) -> Callable[[], Callable[[], str]]:
    """Return a request that logs its two halves."""

    def begin() -> Callable[[], str]:
        log.append(f"begin {name}")

        def finish() -> str:
            time.sleep(seconds)
            log.append(f"finish {name}")
            return name

        return finish

    return begin


def test_requests_run_in_order_small_ones_together_and_a_large_one_alone() -> None:
    log: list[str] = []

    async def run() -> list[str]:
        queue, sizes = RequestQueue[str](1), {"a": 10, "b": 10, "large": LARGE, "c": 10}
        requests = (queue.run(request(log, name), size) for name, size in sizes.items())
        return await asyncio.gather(*requests)

    assert asyncio.run(run()) == ["a", "b", "large", "c"]
    together = ["begin a", "begin b", "finish a", "finish b"]
    assert log == [*together, "begin large", "finish large", "begin c", "finish c"]


def test_the_event_loop_runs_other_tasks_between_requests() -> None:
    log: list[str] = []

    async def other() -> None:
        for _ in range(20):
            log.append("other")
            await asyncio.sleep(0)

    async def run() -> None:
        queue = RequestQueue[str](1)
        requests = [queue.run(request(log, str(n), 0.01), LARGE) for n in range(5)]
        await asyncio.gather(*requests, other())

    asyncio.run(run())
    assert log[log.index("finish 0") : log.index("begin 4")].count("other") >= 3


def test_a_cancelled_request_does_not_hold_up_the_others() -> None:
    """Regression: it kept the lock, and all predictions waited while health said ready."""
    log: list[str] = []

    async def run() -> str:
        queue = RequestQueue[str](1)
        requests = [asyncio.ensure_future(queue.run(request(log, name), LARGE)) for name in "abc"]
        await asyncio.sleep(0)
        requests[1].cancel()
        await asyncio.wait(requests)
        return await queue.run(request(log, "d"), 10)

    assert asyncio.run(run()) == "d"
    assert [line for line in log if "begin" in line] == ["begin a", "begin c", "begin d"]

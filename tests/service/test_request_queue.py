"""Load shedding and the order of requests in a worker's queue."""

import asyncio
import time
from collections.abc import Callable

import pytest

from service.request_queue import RequestQueue


def request(log: list[str], name: str, seconds: float = 0) -> Callable[[], Callable[[], str]]:
    """Return a request that writes to a log when it is begun and when it is finished.

    It computes for some seconds.
    """

    def begin() -> Callable[[], str]:
        log.append(f"begin {name}")

        def finish() -> str:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
            log.append(f"finish {name}")
            return name

        return finish

    return begin


def test_requests_that_wait_together_are_begun_before_any_is_finished() -> None:
    log: list[str] = []

    async def run() -> list[str]:
        queue = RequestQueue[str](1)
        return await asyncio.gather(*(queue.run(request(log, name), 10) for name in "abc"))

    assert asyncio.run(run()) == ["a", "b", "c"]
    assert log == [*(f"begin {n}" for n in "abc"), *(f"finish {n}" for n in "abc")]


def test_a_large_request_runs_alone_and_in_its_place() -> None:
    log: list[str] = []

    async def run() -> None:
        queue = RequestQueue[str](1)
        sizes = {"a": 10, "large": 10**6, "b": 10}
        await asyncio.gather(*(queue.run(request(log, name), n) for name, n in sizes.items()))

    asyncio.run(run())
    assert log == [f"{half} {name}" for name in ("a", "large", "b") for half in ("begin", "finish")]


def test_the_event_loop_runs_other_tasks_between_requests() -> None:
    log: list[str] = []

    async def other() -> None:
        for _ in range(20):
            log.append("other")
            await asyncio.sleep(0)

    async def run() -> None:
        queue = RequestQueue[str](1)
        requests = [queue.run(request(log, str(n), 0.01), 10**6) for n in range(5)]
        await asyncio.gather(*requests, other())

    asyncio.run(run())
    between = log[log.index("finish 0") : log.index("begin 4")]
    assert between.count("other") >= 3


def test_a_cancelled_request_does_not_hold_up_the_others() -> None:
    log: list[str] = []

    async def run() -> str:
        queue = RequestQueue[str](1)
        first, second, third = (
            asyncio.ensure_future(queue.run(request(log, n), 10)) for n in "abc"
        )
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([first, second, third])
        assert second.cancelled()
        return await queue.run(request(log, "d"), 10)

    assert asyncio.run(run()) == "d"
    assert "begin b" not in log


@pytest.mark.parametrize("half", ["begin", "finish"])
def test_a_request_that_fails_fails_alone(half: str) -> None:
    def fail() -> str:
        raise ZeroDivisionError

    async def run() -> tuple[object, ...]:
        queue = RequestQueue[str](1)
        failing = queue.run(fail if half == "begin" else lambda: fail, 10)  # type: ignore[arg-type]
        return tuple(
            await asyncio.gather(failing, queue.run(request([], "b"), 10), return_exceptions=True)
        )

    first, second = asyncio.run(run())
    assert isinstance(first, ZeroDivisionError)
    assert second == "b"


def test_requests_are_rejected_when_the_expected_wait_is_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("service.request_queue.time.monotonic", lambda: now[0])

    def slow() -> Callable[[], str]:
        now[0] += 0.1
        return lambda: "done"

    async def run() -> None:
        queue = RequestQueue[str](0.5)
        for _ in range(100):  # the average approaches 0.1 s per request
            assert queue.rejection() is None
            await queue.run(slow, 10**6)
        waiting = [asyncio.ensure_future(queue.run(slow, 10**6)) for _ in range(6)]
        await asyncio.sleep(0)
        error = queue.rejection()
        assert error is not None
        assert error.status == 503
        assert error.headers["Retry-After"]
        await asyncio.wait(waiting)
        assert queue.rejection() is None

    asyncio.run(run())


def test_requests_in_a_thread_leave_the_event_loop_free() -> None:
    async def run() -> str:
        queue, entered = RequestQueue[str](1, "test"), asyncio.Event()
        loop, release = asyncio.get_running_loop(), asyncio.Event()

        def begin() -> Callable[[], str]:
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return lambda: "done"

        waiting = asyncio.ensure_future(queue.run(begin, 10))
        await entered.wait()  # the loop goes on while the thread waits for it
        release.set()
        return await waiting

    assert asyncio.run(run()) == "done"

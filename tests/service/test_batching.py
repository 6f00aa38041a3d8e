from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

import numpy as np
import pytest

from nncore.types import Array
from service.batching import Batcher
from tests.service.server import wait_until


def rows(start: int, count: int) -> Array:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


def double(images: Array) -> Array:
    return images * 2


class Held:
    """Doubles; the first call waits until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.began, self.go = Event(), Event()

    def __call__(self, images: Array) -> Array:
        self.sizes.append(len(images))
        self.began.set()
        assert self.go.wait(20)
        return double(images)


def test_a_request_alone() -> None:
    np.testing.assert_array_equal(Batcher(double)(rows(0, 3)), double(rows(0, 3)))


def test_requests_that_come_meanwhile_share_a_call() -> None:
    held = Held()
    batcher = Batcher(held)
    with ThreadPoolExecutor(12) as clients:
        first = clients.submit(batcher, rows(0, 1))
        assert held.began.wait(20)
        others = [clients.submit(batcher, rows(100 * n, n)) for n in range(1, 11)]
        wait_until(lambda: len(batcher._waiting) == 10, "ten requests to wait")
        held.go.set()
        np.testing.assert_array_equal(first.result(20), double(rows(0, 1)))
        for n, other in enumerate(others, 1):
            np.testing.assert_array_equal(other.result(20), double(rows(100 * n, n)))
    assert held.sizes == [1, 55]


def test_a_few_are_faster_one_by_one() -> None:
    held = Held()
    batcher = Batcher(held)
    with ThreadPoolExecutor(6) as clients:
        first = clients.submit(batcher, rows(0, 1))
        assert held.began.wait(20)
        others = [clients.submit(batcher, rows(100 * n, 3)) for n in range(1, 6)]
        wait_until(lambda: len(batcher._waiting) == 5, "five requests to wait")
        held.go.set()
        assert first.result(20).shape == (1, 1)
        for n, other in enumerate(others, 1):
            np.testing.assert_array_equal(other.result(20), double(rows(100 * n, 3)))
    assert held.sizes == [1, 3, 3, 3, 3, 3]


def test_no_call_is_larger_than_what_gains() -> None:
    held = Held()
    batcher = Batcher(held)
    with ThreadPoolExecutor(8) as clients:
        first = clients.submit(batcher, rows(0, 1))
        assert held.began.wait(20)
        others = [clients.submit(batcher, rows(1000 * n, 40)) for n in range(5)]
        others.append(clients.submit(batcher, rows(0, 300)))
        wait_until(lambda: len(batcher._waiting) == 6, "six requests to wait")
        held.go.set()
        assert first.result(20).shape == (1, 1)
        for n, other in enumerate(others[:5]):
            np.testing.assert_array_equal(other.result(20), double(rows(1000 * n, 40)))
        np.testing.assert_array_equal(others[5].result(20), double(rows(0, 300)))
    assert sum(held.sizes) == 501
    assert max(held.sizes) == 300


def test_an_error_reaches_whoever_asked_and_the_next_is_answered() -> None:
    calls = []

    def fail_once(images: Array) -> Array:
        calls.append(len(images))
        if len(calls) == 1:
            raise ValueError("once")
        return double(images)

    batcher = Batcher(fail_once)
    with pytest.raises(ValueError, match="once"):
        batcher(rows(0, 1))
    np.testing.assert_array_equal(batcher(rows(5, 2)), double(rows(5, 2)))


def test_many_threads_each_get_their_own() -> None:
    lock, running = Lock(), [0]

    def alone(images: Array) -> Array:
        with lock:
            running[0] += 1
            assert running[0] == 1
        answer = double(images)
        with lock:
            running[0] -= 1
        return answer

    batcher, start = Batcher(alone), Barrier(8)

    def ask(client: int) -> None:
        start.wait(20)
        for request in range(200):
            count = 1 + (client + request) % 40
            images = rows(1000 * client + request, count)
            np.testing.assert_array_equal(batcher(images), double(images))

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(ask, range(8)))

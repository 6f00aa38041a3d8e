from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from types import SimpleNamespace

import pytest

from service.turns import Turns
from tests.service.server import wait_until


def test_turns_come_in_the_order_in_which_they_are_asked_for() -> None:
    turns, order, go = Turns(), list[int](), Event()

    def take(number: int) -> None:
        with turns.take():
            order.append(number)
            assert go.wait(20)

    with ThreadPoolExecutor(8) as clients:
        first = clients.submit(take, 0)
        wait_until(lambda: order == [0], "the first to have its turn")
        for number in range(1, 8):
            clients.submit(take, number)
            wait_until(lambda: len(turns._waiting) == number, "the next to wait")  # noqa: B023
        assert order == [0]
        go.set()
        first.result(20)
    assert order == list(range(8))


def test_one_that_fails_ends_its_turn() -> None:
    turns = Turns()
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), turns.take():
            raise ValueError("broken")
    with turns.take():
        pass


def test_whoever_stands_back_goes_on_after_those_that_wait() -> None:
    turns, order, go = Turns(), list[str](), Event()

    def take(name: str) -> None:
        with turns.take():
            assert go.wait(20)
            order.append(name)

    def stand_back() -> None:
        turns.stand_back()
        order.append("refused")

    others: list[Callable[[], None]] = [partial(take, "second"), stand_back]
    with ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(take, "first")]
        wait_until(lambda: turns._taken, "the first to have its turn")
        for number, ask in enumerate(others, 1):
            waiting.append(clients.submit(ask))
            wait_until(lambda: len(turns._waiting) == number, "the next to wait")  # noqa: B023
        go.set()
        for one in waiting:
            one.result(20)
    assert order == ["first", "second", "refused"]
    turns.stand_back()  # nobody waits


def test_a_look_is_due_every_few_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, looks, now = Turns(), list[float](), [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=looks.append)
    monkeypatch.setattr("service.turns.time", clock)
    for seconds, expected in ((0, 1), (0.004, 1), (0.002, 2), (0.001, 2), (1, 3)):
        now[0] += seconds
        with turns.take():
            pass
        assert len(looks) == expected


def test_no_two_have_a_turn_at_once() -> None:
    turns, start, inside, most = Turns(), Barrier(8), set[int](), [0]

    def ask(client: int) -> None:
        start.wait(20)
        for _ in range(200):
            with turns.take():
                inside.add(client)
                most[0] = max(most[0], len(inside))
                inside.remove(client)

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(ask, range(8)))
    assert most == [1]

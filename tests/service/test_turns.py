from concurrent.futures import ThreadPoolExecutor
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
            wait_until(lambda: len(turns._computing) == number, "the next to wait")  # noqa: B023
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


@pytest.mark.parametrize(
    ("refusing_seconds", "expected"),
    [
        (0.0015, "rrrcrrcrc"),
        # So long does the system let other processes go first: the next do not wait for it.
        (0.1, "rcrcrcrrr"),
    ],
)
def test_computing_and_refusing_have_their_shares(
    monkeypatch: pytest.MonkeyPatch, refusing_seconds: float, expected: str
) -> None:
    turns, order, now = Turns(), list[str](), [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("service.turns.time", clock)

    def compute() -> None:
        with turns.take():
            order.append("c")
            now[0] += 0.01

    def refuse() -> None:
        with turns.take(to_refuse=True):
            order.append("r")
            now[0] += refusing_seconds

    with ThreadPoolExecutor(12) as clients, turns.take():
        for queue, ask, number in (
            (turns._computing, compute, 3),
            (turns._refusing, refuse, 6),
        ):
            for waiting in range(1, number + 1):
                clients.submit(ask)
                wait_until(lambda: len(queue) == waiting, "the next to wait")  # noqa: B023
        now[0] += 0.01
    assert "".join(order) == expected


def test_a_look_is_due_every_few_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, looks, now = Turns(), list[float](), [100.0]
    monkeypatch.setattr("service.turns.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("service.turns.let_others_go_first", lambda: looks.append(now[0]))
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

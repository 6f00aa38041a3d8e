"""A client that asks when it is time, whatever has become of what it has asked before."""

import asyncio
import gc
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from benchmarks.chaos.clients import Question
from benchmarks.chaos.wire import write_request

_MOST_CONNECTIONS = 1000
_LAST_ANSWER_SECONDS = 5
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nRetry-After: \d+\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TimedReply:
    """What came of a question; times are of `time.monotonic`.

    Attributes:
        due: When it was to be asked.
        sent: When it was: the client has a queue of its own.
        ended: When the whole answer was there.
        status: The answer's; 0 where there is none.
        fault: What is wrong with it; None is nothing, as for a refusal that says when to try again.
    """

    due: float
    sent: float
    ended: float
    status: int
    fault: str | None


@dataclass
class Load:
    """What came of many questions.

    Attributes:
        replies: Of those that were sent.
        unsent: How many were not, for every connection waited for an answer.
    """

    replies: list[TimedReply] = field(default_factory=list)
    unsent: int = 0


def ask_at_rate(
    port: int,
    question: Question,
    rate: float,
    seconds: float,
    most_connections: int = _MOST_CONNECTIONS,
) -> Load:
    """Ask so many times a second, over a new connection where all others wait for an answer.

    Args:
        port: Of the service, on the loopback interface.
        question: What is asked; a POST.
        rate: Questions a second.
        seconds: How long.
        most_connections: What is due while so many wait is not asked.
    """
    gc.disable()  # it would stop the client, whose every answer would take so much longer
    try:
        return asyncio.run(_Asker(port, question, most_connections).ask(rate, seconds))
    finally:
        gc.enable()


class _Asker:
    """Asks at a rate, once.

    Attributes:
        request: The question, as it goes over the wire.
        load: What came of it so far.
        free: The connections that wait for nothing.
    """

    def __init__(self, port: int, question: Question, most_connections: int) -> None:
        self.request = write_request(question)
        self.load = Load()
        self.free: list[_Connection] = []
        # The answers are few, and each is looked at once.
        self.find_fault = lru_cache(16)(lambda body: question.find_fault({}, body))
        self._port = port
        self._most_connections = most_connections
        self._connections: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    async def ask(self, rate: float, seconds: float) -> Load:
        """Ask so many times a second for so many seconds; wait for the last answers."""
        due = start = time.monotonic()
        while due < start + seconds:
            while due <= time.monotonic():
                self._ask_once(due)
                due += 1 / rate
            await asyncio.sleep(due - time.monotonic())
        end = time.monotonic() + _LAST_ANSWER_SECONDS
        while len(self.free) < len(self._connections) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        await asyncio.gather(*self._opening)
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)  # they are closed in the next turn of the loop
        return self.load

    def lose(self, connection: "_Connection") -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)
        if connection in self.free:
            self.free.remove(connection)

    def _ask_once(self, due: float) -> None:
        if self.free:
            self.free.pop().ask(due)
        elif len(self._connections) < self._most_connections:
            connection = _Connection(self, due)
            self._connections.add(connection)
            task = asyncio.get_running_loop().create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self.load.unsent += 1

    async def _open(self, connection: "_Connection") -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection, "127.0.0.1", self._port
            )
        except OSError as error:
            connection.connection_lost(error)


class _Connection(asyncio.Protocol):
    """A connection that is kept alive; it asks first when it opens."""

    def __init__(self, asker: _Asker, due: float) -> None:
        self._asker = asker
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waits = True
        self._due = due
        self._sent = time.monotonic()

    def ask(self, due: float) -> None:
        self._waits = True
        self._due = due
        self._sent = time.monotonic()
        cast(asyncio.Transport, self._transport).write(self._asker.request)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._asker.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, whole, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not whole or (length and len(body) < int(length[1])):
            return
        self._received = b""
        status = int(head[9:12])
        self._note(status, self._find_fault(status, head, body))
        self._asker.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._asker.lose(self)
        if self._waits:
            self._note(0, f"the connection ended without an answer: {error!r}")

    def _find_fault(self, status: int, head: bytes, body: bytes) -> str | None:
        if status == 200:
            return self._asker.find_fault(body)
        if status == 503 and _RETRY_AFTER.search(head + b"\r\n"):
            return None
        return f"answered {status} {body[:200].decode(errors='replace')}"

    def _note(self, status: int, fault: str | None) -> None:
        self._waits = False
        reply = TimedReply(self._due, self._sent, time.monotonic(), status, fault)
        self._asker.load.replies.append(reply)

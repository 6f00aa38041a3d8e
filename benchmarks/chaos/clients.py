"""Clients that ask without pause and check every answer, while harm is done."""

import gc
import http.client
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

UNREACHED = -1
_TIMEOUT_SECONDS = 20
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Question:
    """A request, and what its answer has to be.

    Attributes:
        path: Where it goes.
        content: The body of a POST; None makes it a GET.
        headers: Those of the request.
        find_fault: Tells what is wrong with the headers and the body of an answer of status 200;
            None is nothing.
    """

    path: str
    content: bytes | None
    headers: Mapping[str, str]
    find_fault: Callable[[Mapping[str, str], bytes], str | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question.

    Attributes:
        asked: When it was asked, or should have been at a fixed rate; of `time.monotonic`.
        seconds: From then to the end of the answer.
        status: The answer's; 0 where the connection failed, and UNREACHED where there was none.
        fault: What is wrong with it; None is nothing.
    """

    asked: float
    seconds: float
    status: int
    fault: str | None

    @property
    def is_good(self) -> bool:
        """Whether it was answered, and rightly."""
        return self.status == http.HTTPStatus.OK and self.fault is None


class Clients:
    """Ask in turn each of the questions.

    A context manager: they ask for as long as the block lasts. Python's garbage collector, which
    would find nothing but stop them for a tenth of a second, does not run meanwhile.

    Args:
        port: Of the service.
        questions: What they ask.
        number: How many there are.
        rate: Questions a second of all together; as many as are answered when None.
        keep_alive: Whether a client's connection is for all of its questions, or each for one.
        host: The service's address.

    Attributes:
        replies: What came of the questions so far.
    """

    def __init__(
        self,
        port: int,
        questions: Sequence[Question],
        number: int,
        rate: float | None = None,
        *,
        keep_alive: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        self.replies: list[Reply] = []
        self._port = port
        self._keep_alive = keep_alive
        self._host = host
        self._questions = questions
        self._interval = number / rate if rate else 0.0
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(client,)) for client in range(number)
        ]

    def __enter__(self) -> "Clients":
        gc.disable()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        gc.enable()

    def _ask_on(self, client: int) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        # At a fixed rate the clients' first questions are spread over the interval.
        due = time.monotonic() + self._interval * client / len(self._threads)
        for number in count(client):
            if self._over.wait(max(0.0, due - time.monotonic()) if self._interval else 0):
                break
            asked = due if self._interval else time.monotonic()
            due += self._interval
            question = self._questions[number % len(self._questions)]
            status, fault = _ask(connection, question)
            self.replies.append(Reply(asked, time.monotonic() - asked, status, fault))
            if not self._keep_alive:
                connection.close()
            if status == UNREACHED:
                self._over.wait(_PAUSE_SECONDS)
        connection.close()


def _ask(connection: http.client.HTTPConnection, question: Question) -> tuple[int, str | None]:
    method = "GET" if question.content is None else "POST"
    try:
        if connection.sock is None:
            connection.connect()
    except OSError as error:
        return UNREACHED, f"{type(error).__name__}: {error}"
    try:
        connection.request(method, question.path, question.content, dict(question.headers))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next question opens it again
        return 0, f"{type(error).__name__}: {error}"
    if answer.status != http.HTTPStatus.OK:
        return answer.status, body[:200].decode(errors="replace")
    return answer.status, question.find_fault(dict(answer.getheaders()), body)

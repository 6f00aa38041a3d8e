"""Sends hostile requests over sockets, and judges what comes back."""

import json
import re
import socket
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.chaos.hostile.attacks import Attack

_TIMEOUT_SECONDS = 20
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9]{2}) [ -~]+")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t -~\x80-\xff]*)")
_PIECE_BYTES = 2**16


class MalformedError(Exception):
    """An answer that is none."""


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: Of HTTP.
        headers: By their names in small letters.
        body: The body.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """Sends requests one after another; those that follow the rules share a connection.

    Args:
        port: Of the service.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._kept: socket.socket | None = None

    def send(self, attack: Attack) -> list[Answer]:
        """Send a request and read all answers to it.

        Raises:
            MalformedError: They are no answers.
            TimeoutError: None came.
        """
        return self._send_whole(attack) if attack.is_whole else self._send_broken(attack)

    def close(self) -> None:
        """Close the connection that is kept."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def _send_whole(self, attack: Attack) -> list[Answer]:
        answer = None
        if self._kept:
            answer = self._ask(self._kept, attack)  # it may have been closed meanwhile
        if answer is None:
            self.close()
            self._kept = self._connect()
            answer = self._ask(self._kept, attack)
        if answer is None:
            raise MalformedError("no answer")
        if answer.headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return [answer]

    def _send_broken(self, attack: Attack) -> list[Answer]:
        with self._connect() as connection:
            received = bytearray()
            try:
                connection.sendall(attack.data)
                # Whatever was announced, nothing more comes: nobody has to wait for it.
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(_PIECE_BYTES):
                    received += piece
            except TimeoutError:
                raise
            except OSError:  # it was closed before all was sent
                pass
        return list(_read_all(bytes(received), attack.method))

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_SECONDS)

    @staticmethod
    def _ask(connection: socket.socket, attack: Attack) -> Answer | None:
        """Send a request and read one answer; None where the connection is closed before it."""
        received = b""
        try:
            connection.sendall(attack.data)
            while True:
                piece = connection.recv(_PIECE_BYTES)
                received += piece
                end = _end(received, attack.method)
                if end and len(received) >= end:
                    break
                if not piece:
                    break
        except TimeoutError:
            raise
        except OSError:
            pass
        if not received:
            return None
        (answer,) = _read_all(received, attack.method)
        return answer


def _read_all(received: bytes, method: str) -> Iterator[Answer]:
    """Read all answers that came on a connection; the method is the first request's."""
    while received:
        end = _end(received, method)
        if end is None or end > len(received):
            raise MalformedError(f"an answer that breaks off, {received[:300]!r}")
        head, _, body = received[:end].partition(b"\r\n\r\n")
        answer = Answer(*_read_head(head), body)
        if answer.status >= 200:  # no interim answer, as to Expect
            yield answer
            if method == "HEAD" and answer.headers.get(b"connection", b"").lower() == b"close":
                return  # what gunicorn refuses, it does not know to be HEAD
            method = ""
        received = received[end:]


def _end(received: bytes, method: str) -> int | None:
    """Tell where the first answer ends; None where its head is not there."""
    head, mark, _ = received.partition(b"\r\n\r\n")
    if not mark:
        return None
    status, headers = _read_head(head)
    length = headers.get(b"content-length")
    if length is None or not length.isdigit():
        if status >= 200 and status not in (204, 304):
            raise MalformedError(f"an answer without a length, {head!r:.300}")
        length = b"0"
    bodiless = method == "HEAD" or status in (204, 304)
    return len(head) + 4 + (0 if bodiless else int(length))


def _read_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    headers = [_HEADER.fullmatch(line) for line in lines]
    if status is None or None in headers:
        raise MalformedError(f"no head of an answer, {head!r:.300}")
    return int(status[1]), {match[1].lower(): match[2] for match in headers if match}


def find_fault(answer: Answer, method: str) -> str | None:
    """Tell what is wrong with an answer: its status, or an error that is not the service's own."""
    if answer.status >= 500 and not (answer.status == 503 and b"retry-after" in answer.headers):
        return f"answered {answer.status} {answer.body[:300]!r}"
    if answer.status < 400 or method == "HEAD":
        return None
    try:
        is_told = bool(json.loads(answer.body)["error"])
    except (ValueError, TypeError, KeyError):
        is_told = False
    return None if is_told else f"an error that is no JSON, {answer.status} {answer.body[:300]!r}"

from collections.abc import Iterator
from itertools import count

import pytest
from gevent import Timeout
from gunicorn.http.errors import NoMoreData
from gunicorn.http.unreader import IterUnreader

from service.chunks import Chunks


class Request:
    ends_connection = False

    def parse_headers(self, trailers: bytes, from_trailer: bool) -> list[bytes]:
        return [trailers]

    def force_close(self) -> None:
        self.ends_connection = True


@pytest.mark.parametrize("start", [b"", b"1;", b"1\r\nx\r\n", b"0\r\n"])
def test_a_head_without_an_end_is_not_waited_for(start: bytes) -> None:
    pieces = count()

    def endless() -> Iterator[bytes]:
        yield start + b"0"
        for _ in pieces:
            yield b"0" * 2**13

    request = Request()
    chunks = Chunks(request, IterUnreader(endless()))
    with pytest.raises(NoMoreData):
        chunks.read(2)
    assert request.ends_connection
    assert next(pieces) < 10


def test_a_read_that_is_given_up_ends_the_connection() -> None:
    def slow() -> Iterator[bytes]:
        yield b"2\r\nx"
        raise Timeout

    request = Request()
    with pytest.raises(Timeout):
        Chunks(request, IterUnreader(slow())).read(2)
    assert request.ends_connection


def test_a_body_that_is_whole_keeps_the_connection() -> None:
    request = Request()
    pieces = IterUnreader([b"2\r\nab\r\n1;x=y\r", b"\nc\r\n0\r\nX-Sum: 3\r\n\r", b"\nGET"])
    chunks = Chunks(request, pieces)
    assert chunks.read(10) == b"abc"
    assert chunks.read(10) == b""
    assert pieces.read() == b"GET"
    assert not request.ends_connection

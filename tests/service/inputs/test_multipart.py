from contextlib import suppress
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import RequestError
from service.inputs.multipart import read_form

END = b"--X--\r\n"


def part(disposition: str, content: bytes = b"", headers: bytes = b"") -> bytes:
    head = b"Content-Disposition: " + disposition.encode() + b"\r\n" + headers
    return b"--X\r\n" + head + b"\r\n" + content + b"\r\n"


def file(content: bytes = b"", headers: bytes = b"") -> bytes:
    return part('form-data; name="a"; filename="a.png"', content, headers)


def check_rejected(
    status: int, body: bytes, boundary: str | None = "X", max_files: int = 2
) -> None:
    started = perf_counter()
    with pytest.raises(RequestError) as caught:
        read_form(body, boundary, max_files)
    assert perf_counter() - started < 1
    assert caught.value.status == status
    assert len(caught.value.detail) < 300


def test_files_and_fields_keep_their_order() -> None:
    other = part("form-data; name=b; filename*=utf-8''a.png", b"one\r\n--Y")
    body = other + part('form-data; name="top_k"', b"3") + file() + END
    assert read_form(body, "X", 2) == ([b"one\r\n--Y", b""], [("top_k", "3")])
    assert read_form(b"preamble\r\n" + body + b"epilogue", "X", 2)[0] == [b"one\r\n--Y", b""]
    assert read_form(END, "X", 2) == ([], [])


@pytest.mark.parametrize("size", [2047, 2048, 2**20 + 1])
def test_the_content_of_a_file_is_unchanged(size: int) -> None:
    content = (bytes(range(256)) + b"\r\n--Xa\r\n--") * (size // 256)
    assert read_form(file(content[:size]) + END, "X", 1)[0] == [content[:size]]


@pytest.mark.parametrize("boundary", [None, "", "ü"])
def test_an_ascii_boundary_is_needed(boundary: str | None) -> None:
    check_rejected(400, file(b"one") + END, boundary)


MALFORMED = [
    *(b"", b"no parts at all", file(b"one"), file(b"one")[:20], b"--X\r\n\r\nno headers\r\n" + END),
    b"--X\r\nContent-Type: image/png\r\n\r\nno disposition\r\n" + END,
    b"--X\r\nContent-Disposition: \xff\xfe\r\n\r\nno text\r\n" + END,
    *(b"--X\r\n" * 100_000, b"--X" + b" " * 100_000),
    part("form-data") * 20_000 + END,
    *(file(headers=b"a: b\r\n" * 100_000) + END, part("form-data" + "; a=b" * 100_000) + END),
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_bodies_are_rejected(body: bytes) -> None:
    check_rejected(400, body)


@pytest.mark.parametrize("parts", [file() * 3, file() * 20_000])
def test_too_many_files_are_rejected(parts: bytes) -> None:
    check_rejected(422, parts + END)


PIECES = [b"--X", b"--", b"\r\n", b"\n", b"\r", b"Content-Disposition: form-data", b"; name="]
PIECES += [b"; filename=", b'"', b"a", b"\xff", b": ", b" ", b"*=utf-8''%ff", b"*0*=", END]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_bytes_are_read_or_rejected(pieces: list[bytes]) -> None:
    with suppress(RequestError):
        assert len(read_form(b"".join(pieces), "X", 2)[0]) <= 2

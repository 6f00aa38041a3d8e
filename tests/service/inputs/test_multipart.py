from time import process_time

import pytest

from service.errors import RequestError
from service.inputs.multipart import read_form

END = b"--X--\r\n"


def part(disposition: str, content: bytes = b"", headers: bytes = b"") -> bytes:
    head = b"Content-Disposition: " + disposition.encode() + b"\r\n" + headers
    return b"--X\r\n" + head + b"\r\n" + content + b"\r\n"


def file(content: bytes = b"", headers: bytes = b"") -> bytes:
    return part('form-data; name="a"; filename="a.png"', content, headers)


def check_rejected(status: int, body: bytes, boundary: str | None = "X") -> None:
    started = process_time()
    with pytest.raises(RequestError) as caught:
        read_form(body, boundary, 2)
    assert process_time() - started < 1
    assert caught.value.status == status


def test_files_and_fields_keep_their_order_and_content() -> None:
    other = part("form-data; name=b; filename*=utf-8''a.png", b"one\r\n--Y")
    body = other + part('form-data; name="top_k"', b"3") + file() + END
    assert read_form(body, "X", 2) == ([b"one\r\n--Y", b""], [("top_k", "3")])
    assert read_form(b"preamble\r\n" + body + b"epilogue", "X", 2)[0] == [b"one\r\n--Y", b""]
    for size in (2047, 2048, 2**20 + 1):  # around the sizes of a parser's buffers
        content = ((bytes(range(256)) + b"\r\n--Xa\r\n--") * (size // 256))[:size]
        assert read_form(file(content) + END, "X", 1)[0] == [content]


MALFORMED = [
    *(b"--X\r\n" * 100_000, b"--X" + b" " * 100_000),
    *(file(headers=b"a: b\r\n" * 100_000) + END, part("form-data" + "; a=b" * 100_000) + END),
    part("form-data") * 20_000 + END,
]


def test_malformed_bodies_are_rejected_in_a_short_time() -> None:
    for body in MALFORMED:
        check_rejected(400, body)
    for boundary in (None, "", "ü"):
        check_rejected(400, file(b"one") + END, boundary)
    check_rejected(422, file() * 20_000 + END)

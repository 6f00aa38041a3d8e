import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import RequestError
from service.multipart import read_form


def part(disposition: str, content: bytes) -> bytes:
    return b"--X\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


def file(content: bytes, name: str = "a") -> bytes:
    return part(f'form-data; name="{name}"; filename="a.png"', content)


END = b"--X--\r\n"


def test_files_and_fields_keep_their_order() -> None:
    body = file(b"one\r\n--Y", "b") + part('form-data; name="top_k"', b"3") + file(b"") + END
    assert read_form(body, "X", 2) == ([b"one\r\n--Y", b""], [("top_k", b"3")])
    assert read_form(b"preamble\r\n" + body + b"epilogue", "X", 2).files == [b"one\r\n--Y", b""]
    assert read_form(END, "X", 2) == ([], [])


def test_a_large_file_stays_whole() -> None:
    content = bytes(range(256)) * 2**12
    assert read_form(file(content) + END, "X", 1).files == [content]


@pytest.mark.parametrize("boundary", [None, "", "x" * 201, "ü"])
def test_without_a_boundary_there_are_no_parts(boundary: str | None) -> None:
    with pytest.raises(RequestError, match="expected a boundary of 1 to 200") as caught:
        read_form(file(b"one") + END, boundary, 2)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no parts at all",
        file(b"one"),
        file(b"one")[:-2],
        file(b"one")[:20],
        file(b"one")[:5],
        b"--X\r\n\r\nno head\r\n" + END,
        b"--X\r\nContent-Type: image/png\r\n\r\nno disposition\r\n" + END,
        b"--X\r\nContent-Disposition: \xff\xfe\r\n\r\nno text\r\n" + END,
        b"--X\r\n" * 10_000,
        b"--X\r\n" + b"a: b\r\n" * 100_000,
        b"--X" + b" " * 1_000_000,
        part("form-data" + "; a=b" * 1_000_000, b"") + END,
    ],
    ids=range(13),
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="malformed multipart/form-data: ") as caught:
        read_form(body, "X", 2)
    assert caught.value.status == 400
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize("parts", [file(b"") * 3, file(b"") * 20_000, part("form-data", b"") * 99])
def test_too_many_parts(parts: bytes) -> None:
    with pytest.raises(RequestError, match="expected at most 2 images a request, got") as caught:
        read_form(parts + END, "X", 2)
    assert caught.value.status == 422


PIECES = [b"--X", b"--", b"\r\n", b"\n", b"\r", b"Content-Disposition: form-data", b"; name="]
PIECES += [b"; filename=", b'"', b"a", b"\xff", b": ", b" ", b"*=utf-8''%ff", END]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_no_body_raises_anything_else(pieces: list[bytes]) -> None:
    try:
        form = read_form(b"".join(pieces), "X", 2)
    except RequestError:
        return
    assert len(form.files) <= 2

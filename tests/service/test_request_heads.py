import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from service.request_heads import read_head

CLIENT = "192.0.2.7"
CURL = (
    b"POST /predict?top_k=3 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\n"
    b"Accept: */*\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
)
TRITON = (
    b"POST /v2/models/mnist/infer HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: 7\r\n"
    b"Inference-Header-Content-Length: 5\r\nX-Request-ID:a-b.c \r\n"
    b"Connection: keep-alive\r\naccept-encoding: gzip, deflate\r\n\r\n"
)
ORDINARY_FIELDS = [
    b"Host: a", b"Accept: */*", b"X-Request-ID: 7", b"Connection: Keep-Alive", b"Content-Length: 3",
]  # fmt: skip
UNUSUAL_FIELDS = [
    b"Content-Length: 3", b"Content-Length: +3", b"Content-Length: 03", b"Content-Length: 3, 3",
    b"Content-Length:", b"content_length: 4", b"Content-Length : 4", b"Transfer-Encoding: chunked",
    b"Expect: 100-continue", b"Connection: close", b"Connection: keep-alive, upgrade", b"Host: b",
    b" folded", b"\tfolded", b": nameless", b"nothing", b"X: \xe9", b"X: a\x00b", b"X: a\nY: b",
    b"X: a\rY: b", b"Upgrade: h2c", b"Trailer: Content-Length", b"X\xdf: 1", b"X:a:b", b"X:\ta\t",
]  # fmt: skip
START_LINES = [
    b"POST /predict HTTP/1.1", b"POST /a?b=c&d=%20 HTTP/1.1", b"POST /a%20b HTTP/1.1",
    b"POST //a HTTP/1.1", b"POST /a#b HTTP/1.1", b"POST http://a/b HTTP/1.1", b"POST * HTTP/1.1",
    b"GET /predict HTTP/1.1", b"post /predict HTTP/1.1", b"POST /predict HTTP/1.0",
    b"POST  /predict HTTP/1.1", b"POST /predict HTTP/1.1 ", b"\r\nPOST /predict HTTP/1.1",
    b"POST /pr\xc3\xa9dict HTTP/1.1",
]  # fmt: skip


@pytest.mark.parametrize("head", [CURL, TRITON], ids=["curl", "triton"])
def test_what_clients_send_is_ordinary(head: bytes) -> None:
    read = read_head(head + b"content, and what follows", CLIENT)
    assert read
    assert (read.size, read.length) == (len(head), 7)


def test_a_head_tells_what_a_refusal_needs() -> None:
    read = read_head(TRITON, CLIENT)
    assert read
    assert read.environ == {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v2/models/mnist/infer",
        "REMOTE_ADDR": CLIENT,
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_CONTENT_LENGTH": "7",
        "HTTP_INFERENCE_HEADER_CONTENT_LENGTH": "5",
        "HTTP_X_REQUEST_ID": "a-b.c",
        "HTTP_CONNECTION": "keep-alive",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate",
    }


@pytest.mark.parametrize("end", range(len(CURL)))
def test_a_part_of_a_head_is_none(end: int) -> None:
    assert read_head(CURL[:end], CLIENT) is None


@pytest.mark.parametrize("field", [field for field in UNUSUAL_FIELDS if b"X:" not in field])
def test_an_unusual_field_is_gunicorns_to_read(field: bytes) -> None:
    first, _, rest = CURL.partition(b"Content-Type")
    assert read_head(first + field + b"\r\nContent-Type" + rest, CLIENT) is None


@given(
    st.sampled_from(START_LINES),
    st.lists(st.sampled_from(ORDINARY_FIELDS), unique=True),
    st.lists(st.sampled_from(UNUSUAL_FIELDS), max_size=2),
    st.sampled_from([b"\r\n\r\n", b"\r\n", b"\n\n", b"\r\n\r\n\r\n"]),
    st.randoms(use_true_random=False),
)
def test_what_is_read_is_read_as_gunicorn_reads_it(
    start: bytes, ordinary: list[bytes], unusual: list[bytes], end: bytes, order: object
) -> None:
    fields = order.sample(ordinary + unusual, len(ordinary + unusual))  # type: ignore[attr-defined]
    check(b"\r\n".join([start, *fields]) + end + b"abcPOST / HTTP/1.1\r\n\r\n")


@given(st.binary(max_size=40), st.integers(0, len(TRITON)), st.integers(0, 40))
def test_a_damaged_head_is_read_as_gunicorn_reads_it(piece: bytes, at: int, size: int) -> None:
    check(TRITON[:at] + piece + TRITON[at + size :] + b"content and more" * 8)


def check(data: bytes) -> None:
    read = read_head(data, CLIENT)
    if read is None:
        return
    try:
        request = Request(Config(), IterUnreader([data]), (CLIENT, 4711))
    except ParseException as error:
        raise AssertionError(f"gunicorn refuses {data!r}") from error
    assert (request.method, request.path) == ("POST", read.environ["PATH_INFO"])
    assert not request.should_close()
    fields = {"HTTP_" + name.replace("-", "_"): value for name, value in request.headers}
    own = {name: value for name, value in read.environ.items() if name.startswith("HTTP_")}
    assert own == fields
    assert request.body.read() == data[read.size :][: read.length]

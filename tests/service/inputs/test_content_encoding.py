import gzip
import zlib

import pytest

from service.errors import RequestError
from service.inputs.content_encoding import decompress

PLAIN = b"pixels" * 100
ENCODED = {"gzip": gzip.compress(PLAIN, mtime=0), "deflate": zlib.compress(PLAIN)}


def check_rejected(status: int, body: bytes, encoding: str = "gzip", max_bytes: int = 600) -> None:
    with pytest.raises(RequestError) as caught:
        decompress(body, encoding, max_bytes)
    assert caught.value.status == status
    assert caught.value.headers == ({"Accept-Encoding": "gzip, deflate"} if status == 415 else {})


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_without_encoding_is_returned_as_it_is(encoding: str) -> None:
    assert decompress(PLAIN, encoding, 1) is PLAIN


@pytest.mark.parametrize("encoding", ["gzip", "deflate", " GZIP "])
def test_gzip_and_deflate_are_decoded_up_to_the_limit(encoding: str) -> None:
    body = ENCODED[encoding.strip().lower()]
    assert decompress(body, encoding, len(PLAIN)) == PLAIN
    check_rejected(413, body, encoding, len(PLAIN) - 1)


def test_other_encodings_and_corrupt_bodies_are_rejected() -> None:
    for encoding in ("br", "gzip, deflate", "x" * 10_000):
        check_rejected(415, ENCODED["gzip"], encoding)
    for body in (b"", PLAIN, ENCODED["gzip"][:-1], ENCODED["gzip"] + b"x"):
        check_rejected(400, body)
    check_rejected(413, gzip.compress(bytes(2**24)), max_bytes=2**16)

"""Bodies that clients have compressed, and what they may grow to."""

import zlib

from service.errors import RequestError

_ACCEPTED = ("gzip", "deflate")
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def check_content_encoding(encoding: str) -> bool:
    """Tell whether `Content-Encoding` has it that a body is compressed.

    Raises:
        RequestError: It is compressed in another way than gzip or deflate (415).
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return False
    if encoding not in _ACCEPTED:
        accepted = ", ".join(_ACCEPTED)
        raise RequestError(
            415,
            f"expected Content-Encoding gzip or deflate, or none, got {encoding:.100}",
            {"Accept-Encoding": accepted},
        )
    return True


def decompress(body: bytes, most_bytes: int) -> bytes:
    """Decompress a body of gzip or zlib, and no more of it than is allowed.

    Args:
        body: The body as it came.
        most_bytes: How large it may be.

    Raises:
        RequestError: It would be larger (413), or is not compressed so, or breaks off (400).
    """
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = stream.decompress(body, most_bytes + 1)
    except zlib.error:
        raise RequestError(
            400, "expected a body that is compressed as its Content-Encoding says, got another"
        ) from None
    if len(plain) > most_bytes:
        raise RequestError(
            413,
            f"expected a body of at most {most_bytes} bytes when decompressed, got more: "
            "send fewer images a request",
        )
    if not stream.eof or stream.unused_data:
        fault = "goes on after its end" if stream.eof else "breaks off"
        raise RequestError(400, f"expected a whole compressed body, got one that {fault}")
    return plain

"""Request bodies that are compressed with gzip or deflate."""

import zlib

from service.errors import RequestError

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its content encoding.

    Args:
        body: The body as it came.
        encoding: The header Content-Encoding; empty where there is none.
        max_bytes: The largest body after decompression.

    Raises:
        RequestError: The encoding is unknown (415), the body is larger (413), or it is corrupt or
            truncated (400).
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "deflate"):
        raise RequestError(
            415,
            f"expected Content-Encoding gzip, deflate or identity, got {name!r:.100}",
            {"Accept-Encoding": "gzip, deflate"},
        )
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error:
        raise RequestError(400, f"expected a body in {name} format, got other data") from None
    if len(plain) > max_bytes:
        raise RequestError(
            413,
            f"expected at most {max_bytes} bytes when decompressed, got more: "
            "send fewer images per request",
        )
    if not stream.eof or stream.unused_data:
        got = "data after its end" if stream.eof else "a truncated one"
        raise RequestError(400, f"expected a complete {name} body, got {got}")
    return plain

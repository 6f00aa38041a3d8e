"""Decompresses request bodies."""

import zlib

from service.errors import RequestError, too_large

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its content encoding.

    Args:
        body: The body as received.
        encoding: The header Content-Encoding.
        max_bytes: The largest body after decompression.

    Raises:
        RequestError: The encoding is unknown (415), or the body is larger (413) or corrupt (400).
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
        raise too_large(max_bytes)
    if not stream.eof or stream.unused_data:
        got = "data after its end" if stream.eof else "a truncated one"
        raise RequestError(400, f"expected a complete {name} body, got {got}")
    return plain

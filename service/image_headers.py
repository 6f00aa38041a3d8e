"""What of an image file its decoder needs, told from what may only cost time and memory."""

import re
from collections.abc import Iterator

_PNG_NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MOST_PIECES = 8192
_MOST_SCANS = 32

_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_START_OF_SCAN = 0xDA
_ADOBE = 0xEE  # says how the colours are coded
_APPLICATION_OR_COMMENT = {*range(0xE0, 0xF0), 0xFE}
_EXIF = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_MOST_TAGS = 1000


def strip_png(data: bytes) -> tuple[bytes, bytes]:
    """Leave out what makes no pixels: texts, profiles, and all frames but the first.

    Args:
        data: A PNG file, which may be damaged; then so is what is left of it.

    Returns:
        A PNG file, and the Exif of the given one.

    Raises:
        ValueError: It consists of far more pieces than any encoder would write.
    """
    needed, exif = [data[:8]], b""
    for name, start, end in _png_chunks(data):
        if name in _PNG_NEEDED:
            needed.append(data[start:end])
        elif name == b"eXIf":
            exif = data[start + 8 : end - 4]
    return b"".join(needed), exif


def strip_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """Leave out what makes no pixels: texts, profiles, previews.

    Args:
        data: A JPEG file, which may be damaged; then so is what is left of it.

    Returns:
        A JPEG file, and the Exif of the given one.

    Raises:
        ValueError: It consists of far more pieces than any encoder would write.
    """
    needed, exif = [data[:2]], b""
    for marker, start, end in _jpeg_segments(data):
        if marker == _START_OF_SCAN:
            if data.count(bytes((0xFF, _START_OF_SCAN)), start) > _MOST_SCANS:
                raise ValueError("too many scans")
            needed.append(data[start:])
        elif marker == _ADOBE or marker not in _APPLICATION_OR_COMMENT:
            needed.append(data[start:end])
        elif data.startswith(_EXIF, start + 4):
            exif = data[start + 4 : end]
    return b"".join(needed), exif


def orientation(exif: bytes) -> int:
    """Read how a picture is to be turned, 1 to 8; 1, not at all, where nothing says so."""
    tiff = exif.removeprefix(_EXIF)
    big = tiff.startswith(b"MM")

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], "big" if big else "little")

    tags = number(4, 4)
    for entry in range(tags + 2, tags + 2 + 12 * min(number(tags, 2), _MOST_TAGS), 12):
        if number(entry, 2) == _ORIENTATION_TAG:
            return number(entry + 8, 2)
    return 1


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, start and end of each chunk."""
    start = 8
    for _ in range(_MOST_PIECES):
        if start >= len(data):
            return
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], start, end
        start = end
    raise ValueError("too many chunks")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment, of which the last is the first scan's."""
    position = 2
    for _ in range(_MOST_PIECES):
        match = _JPEG_MARKER.match(data, position)
        if match is None:
            return
        start, marker = match.end() - 2, match[1][0]
        position = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        yield marker, start, position
        if marker == _START_OF_SCAN:
            return
    raise ValueError("too many segments")

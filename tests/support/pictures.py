"""Pictures for tests: drawings of any size and colour, and files that no encoder writes."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
Colour = tuple[int, int, int]


def draw(
    size: int = 280,
    foreground: Colour = WHITE,
    background: Colour = BLACK,
    picture_size: tuple[int, int] | None = None,
    at: tuple[int, int] = (0, 0),
) -> Image.Image:
    """Draw a circle with a tail, similar to a 9, in a square of a size."""
    fine = Image.new("L", (4 * size, 4 * size), 0)
    pencil = ImageDraw.Draw(fine)
    unit = 4 * size / 28
    pencil.ellipse([9 * unit, 4 * unit, 19 * unit, 15 * unit], outline=255, width=round(2.5 * unit))
    pencil.line([17.7 * unit, 11 * unit, 16 * unit, 23.5 * unit], fill=255, width=round(2.5 * unit))
    mask = fine.resize((size, size), Image.Resampling.BOX)
    picture = Image.new("RGB", picture_size or mask.size, background)
    picture.paste(foreground, (*at, at[0] + size, at[1] + size), mask)
    return picture


def encode(picture: Image.Image, file_type: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, file_type, **options)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """Make an 8-bit grey PNG file of given chunks; without any it has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bmp(width: int, height: int, compression: int, pixels: bytes) -> bytes:
    """Make an 8-bit grey BMP file."""
    palette = b"".join(bytes((level, level, level, 0)) for level in range(256))
    offset = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, 256, 0)
    file_header = struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset)
    return file_header + header + palette + pixels


def exif(orientation: int, *, big_endian: bool = False) -> bytes:
    order = ">" if big_endian else "<"
    tag = struct.pack(f"{order}HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"Exif\0\0" + (b"MM" if big_endian else b"II") + struct.pack(f"{order}HI", 42, 8) + tag

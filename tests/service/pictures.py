"""Pictures for the tests: drawings of any size and colour, and files of them."""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from nncore.types import Array

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
Colour = tuple[int, int, int]


def draw(
    size: int = 280,
    pen: Colour = WHITE,
    paper: Colour = BLACK,
    page: tuple[int, int] | None = None,
    at: tuple[int, int] = (0, 0),
) -> Image.Image:
    """Draw a circle with a tail, a bit like a 9 or a Q, in a square of a size on a page."""
    fine = Image.new("L", (4 * size, 4 * size), 0)
    pencil = ImageDraw.Draw(fine)
    unit = 4 * size / 28
    pencil.ellipse([9 * unit, 4 * unit, 19 * unit, 15 * unit], outline=255, width=round(2.5 * unit))
    pencil.line([17.7 * unit, 11 * unit, 16 * unit, 23.5 * unit], fill=255, width=round(2.5 * unit))
    ink = fine.resize((size, size), Image.Resampling.BOX)
    picture = Image.new("RGB", page or ink.size, paper)
    picture.paste(pen, (*at, at[0] + size, at[1] + size), ink)
    return picture


def encode(picture: Image.Image, file_type: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, file_type, **options)
    return file.getvalue()


def grey_png(levels: Array) -> bytes:
    return encode(Image.fromarray(levels.astype(np.uint8)))


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, kind: int = 0) -> bytes:
    """Make a PNG file by hand; without chunks it has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", header), *chunks, png_chunk(b"IEND", b"")]
    )


def exif(orientation: int, big: bool = False) -> bytes:
    order = ">" if big else "<"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return (
        (b"Exif\0\0MM" if big else b"Exif\0\0II")
        + struct.pack(f"{order}HIH", 42, 8, 1)
        + entry
        + struct.pack(f"{order}I", 0)
    )

"""Image files of every format and kind, mutated by their pieces."""

import random as randoms
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from benchmarks.chaos.hostile.body import Body, mutate_bytes

_EXAMPLES = Path(__file__).parents[3] / "examples"
# What a header may claim: nothing, little, what is too much, what overflows. What is just small
# enough takes half a second to decode: it comes seldom.
_SIDES = (0, 1, 2, 27, 300, 1000, 5000, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
_LARGE = 4000
_PNG_HEAD = 8
_TEXT_BOMB = b"x\0\0" + zlib.compress(bytes(2**22))


def corpus() -> Mapping[str, Sequence[bytes]]:
    """Make valid files of every kind, by their type."""
    levels = Image.frombytes("L", (28, 28), randoms.Random(0).randbytes(784))
    larger = levels.resize((300, 200))
    modes = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")
    animation: dict[str, Any] = {"save_all": True, "append_images": [larger] * 2}
    colours = larger.convert("RGB")
    return {
        "image/png": [
            (_EXAMPLES / "digit.png").read_bytes(),
            *(_encode(levels.convert(mode), "PNG") for mode in modes),
            _encode(larger, "PNG", **animation),
        ],
        "image/jpeg": [
            _encode(levels, "JPEG"),
            _encode(colours, "JPEG", progressive=True),
            _encode(colours.convert("CMYK"), "JPEG", exif=_exif()),
        ],
        "image/webp": [
            _encode(colours, "WEBP"),
            _encode(levels.convert("RGBA"), "WEBP", lossless=True),
            _encode(colours, "WEBP", exif=_exif(), **animation),
        ],
        "image/bmp": [
            *(_encode(levels.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA"))
        ],
    }


def large_pictures() -> Sequence[bytes]:
    """Make PNG files whose pixels are about as much as a worker keeps memory for."""
    sizes = {"L": (2000, 2000), "RGB": (1000, 1000), "RGBA": (1000, 1000)}
    return [_encode(Image.new(mode, size), "PNG") for mode, size in sizes.items()]


def hostile_picture(random: Random, files: Mapping[str, Sequence[bytes]]) -> Body:
    """Take a file and, most often, spoil it; now and then it says to be of another type.

    Args:
        random: Chooses.
        files: A corpus.
    """
    kind = random.choice(list(files))
    data = random.choice(files[kind])
    if random.random() < 0.9:
        spoil = random.choice((_bytes, _bytes, _KINDS[kind], _KINDS[kind], _KINDS[kind]))
        data = spoil(random, data)
    said = random.choice((kind,) * 5 + (*files,))
    return Body(said, data)


def _encode(picture: Image.Image, file_type: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, file_type, **options)
    return file.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _side(random: Random) -> int:
    return _LARGE if random.random() < 0.002 else random.choice(_SIDES)


def _bytes(random: Random, data: bytes) -> bytes:
    return mutate_bytes(random, data)


def _png(random: Random, data: bytes) -> bytes:
    """Change, repeat, drop, move or add chunks; their check sums are right most of the time."""
    chunks = _chunks(data)
    place = random.randrange(len(chunks))
    name, content = chunks[place]
    change = random.randrange(6)
    if change == 0:
        sides = struct.pack(">II", _side(random), _side(random))
        rest = chunks[0][1][8:]
        if random.random() < 0.5:
            rest = bytes(random.choice((0, 1, 2, 3, 4, 6, 8, 16, 255)) for _ in range(5))
        chunks[0] = (b"IHDR", sides + rest)
    elif change == 1:
        chunks[place] = (name, mutate_bytes(random, content))
    elif change == 2:
        chunks[place:place] = [chunks[place]] * random.choice((1, 100, 9000))
    elif change == 3:
        del chunks[place]
    elif change == 4:
        random.shuffle(chunks)
    else:
        extra = (
            *((b"zTXt", _TEXT_BOMB), (b"iCCP", _TEXT_BOMB), (b"tRNS", b"\0" * 999)),
            *((b"acTL", b"\xff" * 8), (b"fdAT", b"\0" * 4), (b"PLTE", b"\0" * 5), (b"eXIf", b"MM")),
            *((b"IDAT", zlib.compress(bytes(2**22))), (b"\0\xff\0\xff", b""), (b"gAMA", b"")),
        )
        chunks.insert(random.randrange(len(chunks) + 1), random.choice(extra))
    lie = random.choice((0,) * 9 + (1, -1, 2**31))
    return data[:_PNG_HEAD] + b"".join(_chunk(name, content, lie) for name, content in chunks)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, start = [], _PNG_HEAD
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        chunks.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + size]))
        start += 12 + size
    return chunks


def _chunk(name: bytes, content: bytes, lie: int) -> bytes:
    size = (len(content) + lie) % 2**32
    return struct.pack(">I", size) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _jpeg(random: Random, data: bytes) -> bytes:
    """Change a segment: the sides that a frame claims, a table, the scans, the length."""
    changed = bytearray(data)
    markers = [at for at in range(2, len(data) - 9) if data[at] == 0xFF and data[at + 1] > 0xBF]
    frames = [at for at in markers if data[at + 1] in (0xC0, 0xC2)]
    start = random.choice(markers)
    change = random.randrange(5)
    if change == 0 and frames:
        sides = struct.pack(">HH", _side(random) & 0xFFFF, _side(random) & 0xFFFF)
        changed[frames[0] + 5 : frames[0] + 9] = sides
    elif change == 1:
        changed[start + 1] = random.randrange(256)
    elif change == 2:
        changed[start + 2 : start + 4] = random.randbytes(2)
    elif change == 3:
        scan = data[data.index(b"\xff\xda") : -2]
        changed[-2:-2] = scan[:500] * random.choice((1, 40))
    else:
        changed[start:start] = random.choice((b"\xff\xe1\xff\xff", b"\xff\xfe\0\2" * 9000, b"\xff"))
    return bytes(changed)


def _riff(random: Random, data: bytes) -> bytes:
    """Change the sizes, and the sides that are in the first bytes of a chunk."""
    changed = bytearray(data)
    place = random.choice((4, 16, 20, 24, 26, 27, 28, 30))
    changed[place : place + 4] = struct.pack("<I", _side(random))
    return bytes(changed)


def _bmp(random: Random, data: bytes) -> bytes:
    """Change a field of the header: sizes, sides, planes, bits, compression, colours."""
    changed = bytearray(data)
    place = random.choice((2, 10, 14, 18, 22, 26, 28, 30, 34, 46))
    if place in (26, 28):
        changed[place : place + 2] = struct.pack(
            "<H", random.choice((0, 1, 2, 4, 8, 16, 24, 65535))
        )
    else:
        changed[place : place + 4] = struct.pack("<I", random.choice((_side(random), 1, 2, 3)))
    return bytes(changed)


_KINDS: Mapping[str, Callable[[Random, bytes], bytes]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _riff,
    "image/bmp": _bmp,
}

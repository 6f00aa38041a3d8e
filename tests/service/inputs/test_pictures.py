import random
import resource
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from nncore.types import Array
from service.errors import RequestError
from service.image_files import read_image_files
from tests.service.pictures import BLACK, WHITE, draw, encode, exif, png, png_chunk

SHAPE = (28, 28)
PICTURE = draw(140, (20, 30, 120), (250, 245, 230), (220, 180), (50, 20))
FILES = {
    "png": encode(PICTURE),
    "interlaced": encode(PICTURE, interlace=1),
    "jpeg": encode(PICTURE, "JPEG", quality=80),
    "progressive": encode(PICTURE, "JPEG", progressive=True),
    "webp": encode(PICTURE, "WEBP", quality=80),
    "lossless": encode(PICTURE, "WEBP", lossless=True),
    "bmp": encode(PICTURE, "BMP"),
}

# What brings an upright picture to how a file of each orientation stores it.
UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def read(data: bytes) -> Array:
    images = read_image_files([data], SHAPE)
    assert images.dtype == np.uint8
    assert images.shape == (1, *SHAPE)
    form: Array = images[0]
    return form


def check_same(got: Array, expected: Array, tolerance: float = 3) -> None:
    assert np.abs(got.astype(int) - expected.astype(int)).mean() < tolerance


def check_refused(data: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read(data)
    assert caught.value.status == 422
    assert len(caught.value.detail) < 300


GOLDEN = read(FILES["png"])


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_image(name: str) -> None:
    assert GOLDEN.max() == 255
    check_same(read(FILES[name]), GOLDEN)


@pytest.mark.parametrize(
    ("mode", "file_type"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("1", "BMP"),
        ("L", "BMP"),
        ("P", "BMP"),
        ("RGBA", "BMP"),
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("L", "WEBP"),
        ("RGBA", "WEBP"),
    ],
)
def test_every_mode_gives_the_same_image(mode: str, file_type: str) -> None:
    picture = PICTURE.convert(mode, dither=Image.Dither.NONE)
    check_same(read(encode(picture, file_type)), GOLDEN, 8 if mode == "1" else 3)


def test_16_bits_a_pixel() -> None:
    levels = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257
    check_same(read(encode(Image.fromarray(levels))), GOLDEN)


@pytest.mark.parametrize("ink", [BLACK, WHITE, (40, 90, 200)])
def test_ink_of_any_colour_on_nothing(ink: tuple[int, int, int]) -> None:
    alpha = draw(140, page=(220, 180), at=(50, 20)).convert("L")
    picture = Image.new("RGBA", alpha.size, ink)
    picture.putalpha(alpha)
    check_same(read(encode(picture)), GOLDEN)
    check_same(read(encode(picture, "WEBP", lossless=True)), GOLDEN)


def test_what_is_transparent_is_white_paper() -> None:
    picture = draw(140, BLACK, WHITE, (220, 180), (50, 20)).convert("RGBA")
    framed = ImageOps.expand(picture, 30, (0, 0, 0, 0))
    check_same(read(encode(framed)), GOLDEN)


def test_a_transparent_colour_of_a_palette() -> None:
    paletted = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)
    paper = paletted.getpixel((0, 0))
    check_same(read(encode(paletted, transparency=paper)), GOLDEN)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("big", [False, True])
def test_the_picture_is_turned_as_its_exif_says(orientation: int, big: bool) -> None:
    stored = PICTURE
    if orientation in UNDO:
        stored = PICTURE.transpose(UNDO[orientation])
    for file_type in ("PNG", "JPEG", "WEBP"):
        data = encode(stored, file_type, exif=exif(orientation, big))
        check_same(read(data), GOLDEN)


def test_only_the_first_frame_counts() -> None:
    other = Image.new("RGB", PICTURE.size, WHITE)
    for file_type in ("PNG", "WEBP"):
        data = encode(PICTURE, file_type, save_all=True, append_images=[other] * 3)
        check_same(read(data), GOLDEN)


@pytest.mark.parametrize("file_type", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_blank_page_is_no_ink(file_type: str, mode: str) -> None:
    for colour in ("white", "black", "gray"):
        assert not read(encode(Image.new(mode, (60, 40), colour), file_type)).any()
    assert not read(encode(Image.new("RGBA", (60, 40), (0, 0, 0, 0)))).any()


def test_an_image_of_mnists_form_stays_as_it_is() -> None:
    np.testing.assert_array_equal(read(encode(Image.fromarray(GOLDEN))), GOLDEN)


def test_files_keep_their_order_whether_small_or_large() -> None:
    large = draw(1500, BLACK, WHITE)
    blank = Image.new("L", (9, 9))
    images = read_image_files(
        [encode(blank), FILES["jpeg"], encode(large), encode(blank), FILES["bmp"]], SHAPE
    )
    assert [bool(image.any()) for image in images] == [False, True, True, False, True]
    for index in (1, 2, 4):
        check_same(images[index], GOLDEN, 6)


def test_threads_get_their_own_images() -> None:
    files = [encode(draw(size, BLACK, WHITE)) for size in (100, 600)]
    expected = [read(data) for data in files]

    def read_repeatedly(index: int) -> bool:
        return all(np.array_equal(read(files[index % 2]), expected[index % 2]) for _ in range(10))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read_repeatedly, range(8)))


@pytest.mark.parametrize("shape", [(14, 14), (56, 28), (5, 7)])
def test_a_model_of_another_shape(shape: tuple[int, int]) -> None:
    images = read_image_files([FILES["png"]], shape)
    assert images.shape == (1, *shape)
    assert images.max() > 220


def test_the_first_bytes_say_what_a_file_is() -> None:
    check_refused(b"", "expected a PNG, JPEG, WebP or BMP file, got an empty one")
    check_refused(b"GIF89a" + b"\0" * 40, "got one that begins with b'GIF89a")
    check_refused(encode(PICTURE, "TIFF"), "got one that begins with b'II")
    check_refused(encode(PICTURE, "PPM"), "got one that begins with b'P6")
    check_refused(encode(PICTURE, "ICO"), "got one that begins with")
    check_refused(b"%!PS-Adobe-3.0 EPSF-3.0", "got one that begins with")
    with pytest.raises(RequestError, match="an empty one in file 1"):
        read_image_files([FILES["png"], b""], SHAPE)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tenth", range(10))
def test_what_breaks_off_is_refused(name: str, tenth: int) -> None:
    data = FILES[name]
    check_refused(data[: max(len(data) * tenth // 10, 12)], "breaks off|damaged")


@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_decoded_and_nothing_else(name: str) -> None:
    chance = random.Random(0)
    for _ in range(150):
        data = bytearray(FILES[name])
        for _ in range(chance.randint(1, 8)):
            # More often in the headers, where most can go wrong.
            data[min(int(chance.expovariate(1 / 80)), len(data) - 1)] = chance.randrange(256)
        _read_or_refuse(bytes(data))


@pytest.mark.parametrize(
    "magic",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1\0\x40Exif\0\0",
        b"RIFF\x40\0\0\0WEBP",
        b"RIFF\x40\0\0\0WEBPVP8X",
        b"RIFF\x40\0\0\0WEBPVP8L",
        b"BM",
        b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    ],
)
@given(rest=st.binary(max_size=200))
def test_random_bytes_after_the_magic(magic: bytes, rest: bytes) -> None:
    _read_or_refuse(magic + rest)


def _read_or_refuse(data: bytes) -> None:
    with suppress(RequestError):
        read(data)


def bombs() -> Iterator[tuple[str, bytes, str]]:
    pixels = "expected an image of at most"
    yield "PNG that says it is huge", png(2**31 - 1, 2**31 - 1, png_chunk(b"IDAT", b"x")), pixels
    zeros = zlib.compress(bytes(2**24), 9)
    yield "PNG of a large one in few bytes", png(30_000, 30_000, png_chunk(b"IDAT", zeros)), pixels
    yield "PNG with more than it says", png(28, 28, png_chunk(b"IDAT", zeros)), ""
    text = png_chunk(b"zTXt", b"a\0\0" + zeros)
    yield "PNG with large texts", png(28, 28, *[text] * 60), "damaged"
    profile = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**20), 9))
    yield "PNG with many profiles", png(28, 28, *[profile] * 5000), "damaged"
    empty = png_chunk(b"IDAT", b"")
    yield "PNG of a million chunks", png(28, 28, *[empty] * 1_000_000), "damaged"
    huge = b"\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00"
    yield (
        "JPEG that says it is huge",
        FILES["jpeg"].replace(_frame_header(FILES["jpeg"]), huge, 1),
        pixels,
    )
    yield "JPEG of a million segments", b"\xff\xd8" + b"\xff\xe0\0\x02" * 1_000_000, "damaged"
    note = b"\xff\xe1\x03\x00Exif\0\0" + bytes(0x300 - 8)
    yield "JPEG with much Exif", b"\xff\xd8" + note * 8000 + FILES["jpeg"][2:], ""
    progressive = encode(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    last = progressive[progressive.rfind(b"\xff\xda") : -2]
    yield "JPEG of a thousand scans", progressive[:-2] + last * 1000 + progressive[-2:], "damaged"
    vp8x = b"VP8X" + struct.pack("<IB3x", 10, 0) + (16382).to_bytes(3, "little") * 2
    image = b"VP8L" + FILES["lossless"][16:]
    riff = b"WEBP" + vp8x + image
    yield "WebP that says it is huge", b"RIFF" + struct.pack("<I", len(riff)) + riff, ""
    yield "WebP that is large", encode(Image.new("L", (9000, 1000)), "WEBP", lossless=True), pixels
    yield "BMP that says it is huge", bmp(2**30, 2**30, 0, b""), pixels
    yield "BMP of long lines of few pixels", bmp(2**24, 1, 1, b"\0\0" * 10), "run-length"
    yield "BMP of many runs", bmp(1000, 1000, 1, b"\0\0" * 2**20), "run-length"


def _frame_header(data: bytes) -> bytes:
    start = data.index(b"\xff\xc0")
    return data[start : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]


def bmp(width: int, height: int, compression: int, pixels: bytes) -> bytes:
    """Make a BMP file of 8 bits a pixel by hand."""
    palette = b"".join(bytes((level, level, level, 0)) for level in range(256))
    offset = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + (
        header + palette + pixels
    )


@pytest.mark.parametrize(
    ("data", "words"), [pytest.param(data, words, id=name) for name, data, words in bombs()]
)
def test_bombs_cost_neither_time_nor_memory(data: bytes, words: str) -> None:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, perf_counter()
    if words:
        check_refused(data, words)
    else:
        _read_or_refuse(data)
    assert perf_counter() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_many_large_images_are_more_than_a_request_may_have() -> None:
    large = encode(Image.new("1", (4000, 4000)))
    started = perf_counter()
    with pytest.raises(RequestError, match="pixels a request, got more up to file 4: send fewer"):
        read_image_files([large] * 100, SHAPE)
    assert perf_counter() - started < 1


def test_run_length_encoded_bmp() -> None:
    levels = np.asarray(PICTURE.convert("L"))[::-1]
    runs = b"".join(b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in levels)
    data = bmp(PICTURE.width, PICTURE.height, 1, runs + b"\0\1")
    check_same(read(data), GOLDEN)

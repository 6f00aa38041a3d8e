import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.image_headers import orientation, strip_jpeg, strip_png
from tests.service.pictures import draw, encode, exif, png, png_chunk


def test_a_png_keeps_its_pixels_and_loses_its_texts() -> None:
    pixels = png_chunk(b"IDAT", b"pixels")
    padded = png(
        2,
        2,
        png_chunk(b"tEXt", b"a\0b"),
        png_chunk(b"acTL", b"\0" * 8),
        pixels,
        png_chunk(b"fdAT", b"second frame"),
        png_chunk(b"eXIf", b"MM"),
    )
    assert strip_png(padded) == (png(2, 2, pixels), b"MM")


def test_a_jpeg_keeps_its_pixels_and_loses_its_texts() -> None:
    plain = encode(draw(28), "JPEG")
    jfif = plain[2:20]
    assert jfif.startswith(b"\xff\xe0\0\x10JFIF")
    stripped = plain.replace(jfif, b"")
    tags = exif(6)
    notes = (
        b"\xff\xfe\0\5abc"
        + b"\xff\xff\xff\xe2\0\2"
        + b"\xff\xe1"
        + struct.pack(">H", len(tags) + 2)
    )
    padded = plain[:2] + notes + tags + plain[2:]
    assert strip_jpeg(padded) == (stripped, tags)


@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything(data: bytes) -> None:
    strip_png(data)
    strip_jpeg(data)
    assert orientation(data) >= 0


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("big", [False, True])
def test_orientation(value: int, big: bool) -> None:
    tags = exif(value, big)
    assert orientation(tags) == value
    assert orientation(tags.removeprefix(b"Exif\0\0")) == value


def test_without_a_tag_the_picture_is_upright() -> None:
    assert orientation(b"") == 1
    assert orientation(b"Exif\0\0MM\0*\0\0\0\x08\0\0") == 1
    assert orientation(b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff") == 1

"""Image files as the images of a request: PNG, JPEG, WebP, BMP, as hostile as they may be."""

import warnings
from collections.abc import Sequence
from io import BytesIO
from threading import Lock
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from nncore.types import Array
from service.errors import RequestError
from service.image_headers import orientation, strip_jpeg, strip_png
from service.mnist_form import bring_to_form
from service.threads import call_aside

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp")

# Of a size that takes about half a second and, with its copies, 130 MB; WebP's decoder makes more.
_MOST_PIXELS = 2**24
_MOST_WEBP_PIXELS = 2**23
_MOST_PIXELS_A_REQUEST = 2**26
# Beyond, other requests are answered meanwhile, and for the memory's sake one request at a time
# is decoded.
_LARGE_BYTES = 2**16
_LARGE_PIXELS = 2**17
# Run-length encoding is decoded in Python.
_MOST_RUN_LENGTH_BYTES = 2**17
_MOST_RUN_LENGTH_PIXELS = 2**20
# A JPEG is decoded at an eighth to the whole of its size, the least that is as large as this.
_DRAFT_SIZE = (800, 800)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow thinks of a file is its sender's business, not the log's.
warnings.filterwarnings("ignore", module=r"PIL\.")

_decoding = Lock()


class _File(NamedTuple):
    """A file of which the header has been read.

    Attributes:
        image: What Pillow makes of it.
        exif: What it says of itself.
        place: Where in the request it is, for messages.
    """

    image: ImageFile
    exif: bytes
    place: str


def read_image_files(files: Sequence[bytes], shape: Sequence[int]) -> Array:
    """Read image files of any size, colour and polarity; safe in any number of threads.

    Args:
        files: PNG, JPEG, WebP or BMP, one or more; their first bytes say which.
        shape: `(height, width)` of the model's images.

    Returns:
        What the network sees, uint8 `(files, height, width)`, 0 for no ink to 255 for full ink.

    Raises:
        RequestError: One of them is no such file, damaged or too large (422).
    """
    if sum(map(len, files)) > _LARGE_BYTES:
        opened = call_aside(_open_all, files)
    else:
        opened = _open_all(files)
    if sum(map(_pixels, opened)) > _LARGE_PIXELS:
        with _decoding:
            return call_aside(_bring_all_to_form, opened, shape)
    return _bring_all_to_form(opened, shape)


def _open_all(files: Sequence[bytes]) -> list[_File]:
    """Read the headers, and refuse what is too large before anything of it is decoded."""
    opened: list[_File] = []
    pixels = 0
    for index, data in enumerate(files):
        place = f" in file {index}" if len(files) > 1 else ""
        file = _open(data, place)
        opened.append(file)
        pixels += _pixels(file)
        if pixels > _MOST_PIXELS_A_REQUEST:
            raise RequestError(
                422,
                f"expected images of at most {_MOST_PIXELS_A_REQUEST} pixels a request, got more "
                f"up to file {index}: send fewer or smaller images",
            )
    return opened


def _open(data: bytes, place: str) -> _File:
    exif = b""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            data, exif = strip_png(data)
            image: ImageFile = PngImageFile(BytesIO(data))
        elif data.startswith(b"\xff\xd8\xff"):
            data, exif = strip_jpeg(data)
            image = JpegImageFile(BytesIO(data))
        elif data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
            image = WebPImageFile(BytesIO(data))
            exif = image.info.get("exif", b"")
        elif data.startswith(b"BM"):
            image = BmpImageFile(BytesIO(data))
        else:
            got = f"one that begins with {data[:8]!r}" if data else "an empty one"
            raise RequestError(422, f"expected a PNG, JPEG, WebP or BMP file, got {got}{place}")
    except RequestError:
        raise
    except Exception:  # noqa: BLE001 - hostile bytes make Pillow raise anything
        raise _damaged(place) from None
    file = _File(image, exif, place)
    limit = _MOST_WEBP_PIXELS if isinstance(image, WebPImageFile) else _MOST_PIXELS
    if _pixels(file) > limit:
        raise RequestError(
            422,
            f"expected an image of at most {limit} pixels, "
            f"got {image.width}x{image.height}{place}: send a smaller one",
        )
    run_length_encoded = isinstance(image, BmpImageFile) and any(
        tile.codec_name == "bmp_rle" for tile in image.tile
    )
    if run_length_encoded and (
        len(data) > _MOST_RUN_LENGTH_BYTES or _pixels(file) > _MOST_RUN_LENGTH_PIXELS
    ):
        raise RequestError(
            422,
            f"expected a run-length encoded BMP of at most {_MOST_RUN_LENGTH_BYTES} bytes and "
            f"{_MOST_RUN_LENGTH_PIXELS} pixels, got {len(data)} bytes and {_pixels(file)} pixels"
            f"{place}: send a PNG file",
        )
    return file


def _bring_all_to_form(files: list[_File], shape: Sequence[int]) -> Array:
    images = np.zeros((len(files), *shape), np.uint8)
    for levels in images:
        image, exif, place = files.pop(0)
        try:
            picture = _decode(image, exif)
        except Exception:  # noqa: BLE001 - hostile bytes make Pillow raise anything
            raise _damaged(place) from None
        levels[:] = _bring_to_form(picture, shape)
    return images


def _bring_to_form(picture: Image.Image, shape: Sequence[int]) -> Array:
    if picture.mode != "RGBA":
        levels = bring_to_form(picture, shape)
    else:
        levels = bring_to_form(_on_paper(picture, "white"), shape)
        if levels is None:  # white ink is lost on white
            levels = bring_to_form(_on_paper(picture, "black"), shape)
    return np.zeros(shape, np.uint8) if levels is None else levels


def _on_paper(picture: Image.Image, colour: str) -> Image.Image:
    paper = Image.new("RGB", picture.size, colour)
    paper.paste(picture, mask=picture)
    return paper


def _decode(image: ImageFile, exif: bytes) -> Image.Image:
    """Decode an image, the first one of several, to mode L, RGB or RGBA, the right way up."""
    if isinstance(image, JpegImageFile):
        image.draft(None, _DRAFT_SIZE)
    image.load()
    picture: Image.Image = image
    if image.mode.startswith("I"):  # 16 bits, of which Pillow's own conversion loses the upper
        picture = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    else:
        mode = "RGBA" if image.has_transparency_data else "L" if image.mode in "1L" else "RGB"
        picture = image if image.mode == mode else image.convert(mode)
    turn = _TURNS.get(orientation(exif))
    return picture if turn is None else picture.transpose(turn)


def _pixels(file: _File) -> int:
    return file.image.width * file.image.height


def _damaged(place: str) -> RequestError:
    return RequestError(
        422, f"expected a whole image file, got one that is damaged or breaks off{place}"
    )

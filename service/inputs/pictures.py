"""Picture files as images of a model's shape: PNG, JPEG, WebP and BMP."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import SAFEBLOCK, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from nncore.types import Array
from service.errors import invalid
from service.inputs.mnist_preprocessing import preprocess_digit

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp")

# First bytes, decoder and most pixels. A pixel takes 8 bytes of memory, of WebP 16: with body and
# file at most 130 MB. Pillow fills run-length encoded BMP in Python, 10 million pixels in 1 s.
_FORMATS: tuple[tuple[bytes, type[ImageFile], int], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile, 9 * 2**20),
    (b"\xff\xd8\xff", JpegImageFile, 12 * 2**20),
    (b"RIFF", WebPImageFile, 4 * 2**20),
    (b"BM", BmpImageFile, 4 * 2**20),
)
_MAX_PIXELS_PER_REQUEST = 64 * 2**20
# JPEG is decoded at 1/8 to 1/1 of its size, the smallest whose longer side has this many pixels.
_MIN_DRAFT_SIDE = 1024
# Pillow reads one chunk, segment or run at a time: 4 million segments in 16 MB take 4 s and 520 MB.
_MAX_READS = 2**17
# Colour profiles of PNG, frames of WebP, Exif and scans of JPEG cost most for their size. In 16 MB:
# 15,000 profiles take 9 s, 20,000 Exif segments 55 s, 1000 scans of 12 million pixels 7 s.
_SCANS = (bytes([0xFF, 0xDA, 0, 6 + 2 * channels, channels]) for channels in range(1, 5))
_COSTLY_PARTS = (b"iCCP", b"ANMF", b"Exif\0\0", *_SCANS)
_MAX_COSTLY_PARTS = 64
_MAX_EXIF_BYTES = 2**16
_FILTER = Image.Resampling.BILINEAR  # As torchvision's Resize.
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 2**20  # 64 MiB by default

# Faults of clients' files do not belong in the log.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _File(BytesIO):
    """A file in memory that allows neither too many reads nor large ones, which are of metadata."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS or (size or 0) >= SAFEBLOCK:
            raise OSError("too many or too large reads")
        return super().read(size)


def read_pictures(files: Sequence[bytes], shape: Sequence[int], *, recenter: bool) -> Array:
    """Return the images of picture files of any size and colours.

    Args:
        files: PNG, JPEG, WebP or BMP, as their first bytes say; only the first frame is read.
        shape: `(height, width)` of the model's images.
        recenter: Whether to preprocess as MNIST does, for a digit of any colour on a background of
            any other; transparent pixels are white, or black if the digit is white. Otherwise a
            picture becomes grey and is scaled to fit; padding and transparent pixels are black.

    Returns:
        uint8 `(files, height, width)`; with `recenter`, 0 for background to 255 for foreground.

    Raises:
        RequestError: A file is of another format, damaged or too large (422).
    """
    images = np.zeros((len(files), *shape), np.uint8)
    pixels = 0
    for index, data in enumerate(files):
        where = f" in file {index}" if len(files) > 1 else ""
        picture, count = _decode(data, where)
        pixels += count
        if pixels > _MAX_PIXELS_PER_REQUEST:
            expected = f"at most {_MAX_PIXELS_PER_REQUEST} pixels per request"
            raise invalid(expected, f"more up to file {index}: send fewer or smaller pictures")
        if not recenter:
            grey = _flatten(picture, "black").convert("L")
            images[index] = np.asarray(ImageOps.pad(grey, (shape[1], shape[0]), _FILTER))
            continue
        for background in ("white", "black"):
            levels = preprocess_digit(_flatten(picture, background), shape)
            if levels is not None:
                images[index] = levels
                break
    return images


def _decode(data: bytes, where: str) -> tuple[Image.Image, int]:
    """Return a picture of mode L, RGB or RGBA, upright, and how many pixels its file has."""
    known = next((known for known in _FORMATS if data.startswith(known[0])), None)
    if known is None:
        raise invalid("a PNG, JPEG, WebP or BMP file", f"one that begins with {data[:8]!r}{where}")
    _, decoder, max_pixels = known
    try:
        if sum(map(data.count, _COSTLY_PARTS)) > _MAX_COSTLY_PARTS:
            raise OSError("too many costly parts")
        picture = decoder(_File(data))
        pixels = picture.width * picture.height
        if picture.mode == "CMYK":  # Progressive ones take 12 bytes per pixel.
            max_pixels //= 2
        if pixels > max_pixels:
            raise Image.DecompressionBombError
        picture.info.pop("icc_profile", None)
        if isinstance(picture, JpegImageFile):
            picture.applist.clear()  # Up to the size of the file.
        factor = max(picture.size) // _MIN_DRAFT_SIDE
        if factor > 1:
            picture.draft(None, (max(picture.width // factor, 1), max(picture.height // factor, 1)))
        picture.load()
        if len(picture.info.get("exif", b"")) <= _MAX_EXIF_BYTES:
            with suppress(Exception):  # The pixels are usable without a damaged Exif.
                ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode == "I;16":  # Pillow's own conversion clips the levels.
            return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)), pixels
        mode = "L" if picture.mode in ("1", "L") else "RGB"
        if picture.has_transparency_data:
            mode = "RGBA"
        return picture if picture.mode == mode else picture.convert(mode), pixels
    except Image.DecompressionBombError:
        expected, got = f"a picture of at most {max_pixels} pixels", "a larger one"
    except Exception:  # noqa: BLE001 - untrusted bytes make Pillow raise any exception
        expected, got = "a complete picture file", "a damaged or too complex one"
    raise invalid(expected, got + where)


def _flatten(picture: Image.Image, background: str) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    flat = Image.new("RGB", picture.size, background)
    flat.paste(picture, mask=picture)
    return flat

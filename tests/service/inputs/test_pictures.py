import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nncore.types import Array
from service.errors import RequestError
from service.inputs.pictures import read_pictures
from tests.support.pictures import BLACK, WHITE, bmp, draw, encode, exif, png, png_chunk
from tests.support.server import ROOT

# The service ignores Pillow's warnings of damaged files; pytest raises them.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

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


def test_the_pixels_of_a_request_are_limited() -> None:
    with pytest.raises(RequestError, match="pixels per request, got more up to file 7"):
        read_pictures([encode(Image.new("1", (3000, 3000)))] * 100, SHAPE, recenter=True)


# How a file of orientation 2, 3, ... 8 stores an upright picture.
STORED_AS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
)


def read(data: bytes, *, recenter: bool = True) -> Array:
    (image,) = read_pictures([data], SHAPE, recenter=recenter)
    assert (image.dtype, image.shape) == (np.uint8, SHAPE)
    return np.asarray(image)


def check_close(data: bytes, tolerance: float = 3) -> None:
    assert np.abs(read(data).astype(int) - EXPECTED.astype(int)).mean() < tolerance


EXPECTED = read(FILES["png"])
MODES = {"PNG": "1 L LA P RGBA", "BMP": "1 L P RGBA", "JPEG": "L CMYK", "WEBP": "L RGBA"}


def test_every_format_and_mode_gives_the_same_image() -> None:
    for data in FILES.values():
        check_close(data)
    for file_type, modes in MODES.items():
        for mode in modes.split():
            picture = PICTURE.convert(mode, dither=Image.Dither.NONE)
            check_close(encode(picture, file_type), 8 if mode == "1" else 3)
    levels = np.asarray(PICTURE.convert("L"))
    check_close(encode(Image.fromarray(levels.astype(np.uint16) * 257)))
    lines = [b"".join(bytes((1, level)) for level in line) for line in levels[::-1]]
    check_close(bmp(PICTURE.width, PICTURE.height, 1, b"\0\0".join(lines) + b"\0\1"))


@pytest.mark.parametrize("file_type", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_rotated_as_its_exif_says(file_type: str) -> None:
    for orientation, transpose in enumerate(STORED_AS, start=2):
        data = exif(orientation, big_endian=bool(orientation % 2))
        check_close(encode(PICTURE.transpose(transpose), file_type, exif=data))
    check_close(encode(PICTURE, file_type, exif=exif(6)[:20]))


def test_transparent_pixels_are_background() -> None:
    alpha = draw(140, picture_size=(220, 180), at=(50, 20)).convert("L")
    for colour in (BLACK, WHITE, (40, 90, 200)):
        picture = Image.new("RGBA", alpha.size, colour)
        picture.putalpha(alpha)
        check_close(encode(picture))
    paletted = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)
    check_close(encode(paletted, transparency=paletted.getpixel((0, 0))))


def test_without_recentring_a_picture_is_scaled_to_fit_on_black() -> None:
    image = read(encode(Image.new("RGB", (200, 100), (30, 30, 30))), recenter=False)
    np.testing.assert_array_equal(image[7:21], 30)
    assert not image[:7].any()
    assert not image[21:].any()


def hostile_files() -> dict[str, tuple[bytes, str]]:
    """Return files that cost plain Pillow seconds or 100 MB, and words of the error."""
    jpeg = FILES["jpeg"]
    size = jpeg.index(b"\xff\xc0") + 5
    progressive = encode(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    last_scan = progressive[progressive.rfind(b"\xff\xda") : -2]
    zeros = zlib.compress(bytes(2**24), 9)
    pixels = png_chunk(b"IDAT", zeros)
    compressed_texts = [png_chunk(b"zTXt", b"a\0\0" + zeros)] * 9
    many_chunks = [png_chunk(b"prVt", b"")] * 10**6
    return {
        "PNG, large": (png(30_000, 30_000, pixels), "at most 9437184 pixels"),
        "PNG, compressed texts": (png(28, 28, *compressed_texts, pixels), "complex"),
        "PNG, many chunks": (png(28, 28, *many_chunks, pixels), "complex"),
        "JPEG, large": (jpeg[:size] + b"\xff" * 4 + jpeg[size + 4 :], "at most 12582912 pixels"),
        "JPEG, many segments": (b"\xff\xd8" + b"\xff\xe0\0\2" * 10**6, "complex"),
        "JPEG, many scans": (progressive[:-2] + last_scan * 1000 + b"\xff\xd9", "complex"),
        "BMP, large": (bmp(2**30, 2**30, 0, b""), "at most 4194304 pixels"),
        "BMP, many runs": (bmp(1000, 1000, 1, b"\0\0" * 2**20), "complex"),
    }


# The peak of a process of its own, for the tests' own may have been higher before.
MEASURE = """
import json, os, sys
from pathlib import Path
from time import process_time
from service.errors import RequestError
from service.inputs.pictures import read_pictures
from tests.support.processes import peak_megabytes, resident_megabytes

for path in sys.argv[1:]:
    data = Path(path).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start, detail = resident_megabytes(os.getpid()), process_time(), ""
    try:
        read_pictures([data], (28, 28), recenter=True)
    except RequestError as error:
        detail = error.detail
    print(json.dumps([process_time() - start, peak_megabytes(os.getpid()) - before, detail]))
"""


def measure(folder: Path, files: Sequence[bytes]) -> list[tuple[float, float, str]]:
    """Return seconds, MB and the error of each file, read in another process."""
    paths = [folder / str(index) for index in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    command = [sys.executable, "-c", MEASURE, *map(str, paths)]
    output = subprocess.check_output(command, cwd=ROOT, text=True)
    return [tuple(json.loads(line)) for line in output.splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hostile_files_take_little_time_and_memory(tmp_path: Path) -> None:
    names, cases = zip(*hostile_files().items(), strict=True)
    results = measure(tmp_path, [data for data, _ in cases])
    for name, (_, words), (seconds, megabytes, detail) in zip(names, cases, results, strict=True):
        assert words in detail, name
        assert seconds < 1, name
        assert megabytes < 48, name

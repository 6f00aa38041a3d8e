import numpy as np
import pytest
from PIL import Image, ImageDraw

from nncore.types import Array
from service.inputs.mnist_preprocessing import preprocess_digit
from tests.support.pictures import BLACK, WHITE, Colour, draw


def preprocess(picture: Image.Image, shape: tuple[int, int] = (28, 28)) -> Array:
    image = preprocess_digit(picture, shape)
    assert image is not None
    assert image.dtype == np.uint8
    assert image.shape == shape
    return image


def check_close(got: Array, expected: Array, tolerance: float = 6) -> None:
    assert np.abs(got.astype(int) - expected.astype(int)).mean() < tolerance


def box_size(image: Array) -> tuple[int, int]:
    rows, columns = np.nonzero(image >= 100)
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def centre_of_mass(image: Array) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    return float((columns * image).sum() / image.sum()), float((rows * image).sum() / image.sum())


EXPECTED = preprocess(draw(1120))


def test_the_digit_fits_20x20_and_is_centred_by_its_mass() -> None:
    width, height = box_size(EXPECTED)
    assert height in (19, 20)
    assert width in (10, 11)
    np.testing.assert_allclose(centre_of_mass(EXPECTED), 14, atol=0.15)
    assert EXPECTED.max() == 255
    assert not EXPECTED[:3].any()


@pytest.mark.parametrize("size", [40, 193, 1400])
@pytest.mark.parametrize(
    ("foreground", "background"),
    [(WHITE, BLACK), (BLACK, WHITE), ((120, 120, 120), (160, 160, 160)), (WHITE, (0, 130, 250))],
)
def test_size_colour_and_polarity_do_not_matter(
    size: int, foreground: Colour, background: Colour
) -> None:
    check_close(preprocess(draw(size, foreground, background)), EXPECTED, 12 if size < 84 else 6)


@pytest.mark.parametrize("at", [(0, 0), (700, 500)])
def test_the_position_does_not_matter(at: tuple[int, int]) -> None:
    check_close(preprocess(draw(200, BLACK, WHITE, (900, 700), at)), EXPECTED)
    check_close(preprocess(draw(60, (20, 20, 60), WHITE, (3000, 2400), at)), EXPECTED, 12)


def test_noise_is_background(rng: np.random.Generator) -> None:
    drawing = np.asarray(draw(200, (60, 60, 90), (200, 200, 190), (400, 300), (150, 60)))
    noisy = np.clip(drawing + rng.normal(0, 6, drawing.shape), 0, 255).astype(np.uint8)
    check_close(preprocess(Image.fromarray(noisy)), EXPECTED, 8)
    for deviation in (0, 1, 15):
        picture = np.clip(rng.normal(200, deviation, (600, 600, 3)), 0, 255).astype(np.uint8)
        assert preprocess_digit(Image.fromarray(picture), (28, 28)) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 100_000), (100_000, 1), (3, 5)])
def test_pictures_of_extreme_sizes_are_read(
    size: tuple[int, int], rng: np.random.Generator
) -> None:
    levels = rng.integers(0, 256, (size[1], size[0])).astype(np.uint8)
    image = preprocess_digit(Image.fromarray(levels), (28, 28))
    assert image is None or image.shape == (28, 28)


def test_images_of_mnist_are_unchanged() -> None:
    for levels in (EXPECTED, 255 - EXPECTED, np.roll(EXPECTED, (-3, 4), (0, 1))):
        np.testing.assert_array_equal(preprocess(Image.fromarray(levels)), EXPECTED)


def test_a_thin_line_is_not_faint_and_a_dot_is_a_block_in_the_centre() -> None:
    picture = Image.new("L", (800, 800), 255)
    ImageDraw.Draw(picture).line([100, 100, 700, 700], fill=0, width=3)
    image = preprocess(picture)
    assert image.max() == 255
    assert (np.diag(image)[6:20] > 100).all()
    picture = Image.new("L", (100, 100), 255)
    picture.putpixel((80, 10), 0)
    np.testing.assert_allclose(centre_of_mass(preprocess(picture)), 14, atol=0.6)


@pytest.mark.parametrize("shape", [(14, 14), (56, 84), (1, 30)])
def test_the_proportions_are_those_of_the_shape(shape: tuple[int, int]) -> None:
    image = preprocess(draw(560, BLACK, WHITE), shape)
    if min(shape) >= 14:
        width, height = box_size(image)
        assert width <= 20 / 28 * shape[1] + 2
        assert height <= 20 / 28 * shape[0] + 2
        assert max(width / shape[1], height / shape[0]) > 0.6

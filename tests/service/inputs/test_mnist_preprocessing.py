import numpy as np
import pytest
from PIL import Image

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


def centre_of_mass(image: Array) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    return float((rows * image).sum() / image.sum()), float((columns * image).sum() / image.sum())


EXPECTED = preprocess(draw(1120))


@pytest.mark.parametrize("shape", [(28, 28), (14, 14), (56, 84)])
def test_the_digit_fits_five_sevenths_and_is_centred_by_its_mass(shape: tuple[int, int]) -> None:
    image = preprocess(draw(1120), shape)
    rows, columns = np.nonzero(image >= 100)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height <= 20 / 28 * shape[0] + 2
    assert width <= 20 / 28 * shape[1] + 2
    assert max(height / shape[0], width / shape[1]) > 0.6
    np.testing.assert_allclose(centre_of_mass(image), np.divide(shape, 2), atol=0.6)
    assert image.max() > 250


@pytest.mark.parametrize("size", [40, 193, 1400])
@pytest.mark.parametrize(
    ("foreground", "background"),
    [(WHITE, BLACK), (BLACK, WHITE), ((120, 120, 120), (160, 160, 160)), (WHITE, (0, 130, 250))],
)
def test_size_place_and_colours_do_not_matter(
    size: int, foreground: Colour, background: Colour
) -> None:
    picture = draw(size, foreground, background, (size + 300, size + 400), (200, 50))
    check_close(preprocess(picture), EXPECTED, 12 if size < 84 else 6)


def test_noise_is_background(rng: np.random.Generator) -> None:
    drawing = np.asarray(draw(200, (60, 60, 90), (200, 200, 190), (400, 300), (150, 60)))
    noisy = np.clip(drawing + rng.normal(0, 6, drawing.shape), 0, 255).astype(np.uint8)
    check_close(preprocess(Image.fromarray(noisy)), EXPECTED, 8)
    for deviation in (0, 1, 15):
        picture = np.clip(rng.normal(200, deviation, (600, 600, 3)), 0, 255).astype(np.uint8)
        assert preprocess_digit(Image.fromarray(picture), (28, 28)) is None


def test_images_of_mnist_are_unchanged() -> None:
    for levels in (EXPECTED, 255 - EXPECTED, np.roll(EXPECTED, (-3, 4), (0, 1))):
        np.testing.assert_array_equal(preprocess(Image.fromarray(levels)), EXPECTED)

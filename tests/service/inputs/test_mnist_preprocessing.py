import numpy as np
import pytest
from PIL import Image, ImageDraw

from nncore.types import Array
from service.mnist_form import bring_to_form
from tests.service.pictures import BLACK, WHITE, Colour, draw


def form_of(picture: Image.Image, shape: tuple[int, int] = (28, 28)) -> Array:
    form = bring_to_form(picture, shape)
    assert form is not None
    assert form.dtype == np.uint8
    assert form.shape == shape
    return form


def check_same(got: Array, expected: Array, tolerance: float = 6) -> None:
    difference = np.abs(got.astype(int) - expected.astype(int))
    assert difference.mean() < tolerance


def box_of(form: Array) -> tuple[int, int]:
    """The width and height of what is clearly ink."""
    ink = form >= 100
    return int(np.ptp(np.flatnonzero(ink.any(axis=0)))) + 1, int(
        np.ptp(np.flatnonzero(ink.any(axis=1)))
    ) + 1


def centre_of(form: Array) -> tuple[float, float]:
    rows, columns = np.indices(form.shape)
    return float((columns * form).sum() / form.sum()), float((rows * form).sum() / form.sum())


GOLDEN = form_of(draw(1120))


def test_the_ink_fits_20x20_and_is_centred_by_its_mass() -> None:
    width, height = box_of(GOLDEN)
    assert height in (19, 20)
    assert width in (10, 11)  # its aspect is kept
    np.testing.assert_allclose(centre_of(GOLDEN), 14, atol=0.15)
    assert GOLDEN.max() == 255
    assert (GOLDEN[:3] == 0).all()
    assert GOLDEN[-1].max() < 100


@pytest.mark.parametrize("size", [40, 84, 140, 193, 280, 1000, 2800])
@pytest.mark.parametrize(
    ("pen", "paper"),
    [
        (WHITE, BLACK),
        (BLACK, WHITE),
        ((30, 40, 160), (250, 240, 200)),
        ((200, 30, 30), (60, 120, 40)),
        ((120, 120, 120), (160, 160, 160)),
        ((255, 240, 0), (255, 255, 255)),
        ((255, 255, 255), (0, 130, 250)),
    ],
)
def test_neither_size_nor_colour_nor_polarity_matters(
    size: int, pen: Colour, paper: Colour
) -> None:
    check_same(form_of(draw(size, pen, paper)), GOLDEN, 12 if size < 84 else 6)


@pytest.mark.parametrize("at", [(0, 0), (700, 0), (0, 500), (380, 120)])
def test_nor_where_on_the_page_it_is(at: tuple[int, int]) -> None:
    check_same(form_of(draw(200, BLACK, WHITE, (900, 700), at)), GOLDEN)


def test_a_small_drawing_on_a_large_page() -> None:
    check_same(form_of(draw(60, (20, 20, 60), WHITE, (3000, 2400), (1900, 300))), GOLDEN, 12)


def test_noise_and_grain_are_not_ink(rng: np.random.Generator) -> None:
    drawing = np.asarray(draw(200, (60, 60, 90), (200, 200, 190), (400, 300), (150, 60)))
    noisy = np.clip(drawing + rng.normal(0, 6, drawing.shape), 0, 255).astype(np.uint8)
    form = form_of(Image.fromarray(noisy))
    check_same(form, GOLDEN, 8)
    assert (form[:3] == 0).all()


@pytest.mark.parametrize("deviation", [0, 1, 3, 6, 15])
@pytest.mark.parametrize("size", [28, 100, 600])
def test_a_blank_page_is_blank(rng: np.random.Generator, deviation: float, size: int) -> None:
    page = np.clip(rng.normal(200, deviation, (size, size, 3)), 0, 255).astype(np.uint8)
    assert bring_to_form(Image.fromarray(page), (28, 28)) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 100_000), (100_000, 1), (3, 5)])
def test_pages_without_any_room(size: tuple[int, int], rng: np.random.Generator) -> None:
    page = rng.integers(0, 256, (size[1], size[0])).astype(np.uint8)
    for picture in (Image.fromarray(page), Image.new("RGB", size, WHITE)):
        form = bring_to_form(picture, (28, 28))
        assert form is None or form.shape == (28, 28)


def test_an_image_of_mnists_form_stays_as_it_is() -> None:
    picture = Image.fromarray(GOLDEN)
    np.testing.assert_array_equal(form_of(picture), GOLDEN)
    inverted = Image.fromarray(255 - GOLDEN)
    np.testing.assert_array_equal(form_of(inverted), GOLDEN)
    shifted = Image.fromarray(np.roll(GOLDEN, (-3, 4), (0, 1)))
    np.testing.assert_array_equal(form_of(shifted), GOLDEN)


def test_a_thin_line_is_not_faint() -> None:
    picture = Image.new("L", (800, 800), 255)
    ImageDraw.Draw(picture).line([100, 100, 700, 700], fill=0, width=3)
    form = form_of(picture)
    assert form.max() == 255
    assert (np.diag(form)[6:20] > 100).all()


def test_ink_stays_inside_however_one_sided() -> None:
    picture = Image.new("L", (400, 400), 0)
    pencil = ImageDraw.Draw(picture)
    pencil.rectangle([20, 20, 120, 380], fill=255)
    pencil.line([120, 200, 380, 200], fill=255, width=20)
    form = form_of(picture)
    assert box_of(form)[0] in (19, 20, 21)


def test_a_dot_becomes_a_block_in_the_middle() -> None:
    picture = Image.new("L", (100, 100), 255)
    picture.putpixel((80, 10), 0)
    form = form_of(picture)
    assert form[14, 14] == 255
    np.testing.assert_allclose(centre_of(form), 14, atol=0.6)


@pytest.mark.parametrize("shape", [(14, 14), (28, 14), (56, 84), (7, 9), (1, 1), (1, 30)])
def test_another_shape_has_the_same_proportions(shape: tuple[int, int]) -> None:
    form = form_of(draw(560, BLACK, WHITE), shape)
    if min(shape) >= 14:
        height, width = shape
        wide, high = box_of(form)
        assert wide <= 20 / 28 * width + 2
        assert high <= 20 / 28 * height + 2
        assert max(wide / width, high / height) > 0.6

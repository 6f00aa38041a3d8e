"""The encodings: labels to one-hot columns, grey levels to the network's input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import MAX_PIXEL, one_hot_encode, scale_pixels
from nncore.types import Array

MAX_CLASSES = 300
MAX_LABELS = 20


@st.composite
def labels_and_classes(draw: st.DrawFn) -> tuple[list[int], int]:
    classes = draw(st.integers(1, MAX_CLASSES))
    return draw(st.lists(st.integers(0, classes - 1), max_size=MAX_LABELS)), classes


@given(labels_and_classes())
def test_one_hot_there_and_back(drawn: tuple[list[int], int]) -> None:
    labels, classes = drawn
    encoded = one_hot_encode(np.array(labels, dtype=np.int64), num_classes=classes)
    assert encoded.shape == (classes, len(labels))
    assert {*np.unique(encoded)} <= {0, 1}
    np.testing.assert_array_equal(encoded.sum(axis=0), np.ones(len(labels)))
    np.testing.assert_array_equal(encoded.argmax(axis=0), labels)


def test_one_hot_by_hand() -> None:
    encoded = one_hot_encode(np.array([2, 0]), num_classes=3)
    np.testing.assert_array_equal(encoded, [[0, 1], [0, 0], [1, 0]])


def test_ten_classes_in_double_precision_by_default() -> None:
    encoded = one_hot_encode(np.array([9]))
    assert encoded.shape == (10, 1)
    assert encoded.dtype == np.float64


def test_dtype_of_the_answer_can_be_chosen() -> None:
    assert one_hot_encode(np.array([1]), 2, np.float32).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_labels_of_any_integer_dtype(dtype: type[np.integer]) -> None:
    encoded = one_hot_encode(np.array([3, 1], dtype), num_classes=300)
    np.testing.assert_array_equal(encoded.argmax(axis=0), [3, 1])


@pytest.mark.parametrize("shape", [(3, 2), (3, 1), (3, 2, 1), ()])
def test_what_is_not_one_dimensional_passes_through(shape: tuple[int, ...]) -> None:
    targets = np.zeros(shape)
    assert one_hot_encode(targets, num_classes=7) is targets


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 3], r"expected labels in 0\.\.2, got 3 at index 2"),
        ([0, -1, 7], r"expected labels in 0\.\.2, got -1 at index 1"),
        ([300], r"expected labels in 0\.\.2, got 300 at index 0"),
    ],
)
def test_a_label_outside_the_classes_is_an_error_that_says_which(
    labels: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        one_hot_encode(np.array(labels), num_classes=3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.bool_, np.str_])
def test_labels_that_are_not_integers_are_an_error(dtype: type[Any]) -> None:
    labels: Array = np.array([0, 1]).astype(dtype)
    with pytest.raises(TypeError, match=f"expected integer labels, got {labels.dtype}"):
        one_hot_encode(labels, num_classes=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_scaled_pixels_are_pixels_over_255_in_single_precision(dtype: type[Any]) -> None:
    pixels: Array = np.arange(MAX_PIXEL + 1).reshape(16, 16).astype(dtype)
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    assert scaled.shape == (16, 16)
    np.testing.assert_allclose(scaled, pixels / 255, rtol=2e-7)


def test_scaled_pixels_keep_to_0_and_1_and_their_order() -> None:
    scaled = scale_pixels(np.arange(MAX_PIXEL + 1, dtype=np.uint8))
    assert (scaled[0], scaled[-1]) == (0, 1)
    assert (np.diff(scaled) > 0).all()


def test_scaling_leaves_the_pixels_alone() -> None:
    pixels = np.full((2, 2), 255.0, np.float32)
    scale_pixels(pixels)
    np.testing.assert_array_equal(pixels, np.full((2, 2), 255))

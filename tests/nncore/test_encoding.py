"""The encodings: one-hot labels and scaled pixels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import MAX_PIXEL, one_hot_encode, scale_pixels
from nncore.types import Array


@st.composite
def labels_and_classes(draw: st.DrawFn) -> tuple[Array, int]:
    classes = draw(st.integers(1, 300))
    dtype = draw(st.sampled_from([np.int64, np.uint64, np.int16]))
    return np.array(draw(st.lists(st.integers(0, classes - 1), max_size=20)), dtype), classes


@given(labels_and_classes())
def test_one_hot_columns_have_a_single_1_at_the_label(drawn: tuple[Array, int]) -> None:
    labels, classes = drawn
    encoded = one_hot_encode(labels, num_classes=classes, dtype=np.float32)
    assert encoded.shape == (classes, len(labels))
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded.sum(axis=0), np.ones(len(labels)))
    np.testing.assert_array_equal(encoded.argmax(axis=0), labels)
    np.testing.assert_array_equal(encoded.max(axis=0), np.ones(len(labels)))


def test_the_default_is_ten_classes_in_double_precision() -> None:
    encoded = one_hot_encode(np.array([9]))
    assert encoded.shape == (10, 1)
    assert encoded.dtype == np.float64


@pytest.mark.parametrize("shape", [(3, 2), (3, 1), ()])
def test_arrays_that_are_not_one_dimensional_are_returned_unchanged(
    shape: tuple[int, ...],
) -> None:
    targets = np.zeros(shape)
    assert one_hot_encode(targets, num_classes=7) is targets


@pytest.mark.parametrize(("labels", "found"), [([0, 1, 3], "3 at index 2"), ([-1, 7], "-1 at")])
def test_a_label_outside_the_classes_is_rejected(labels: list[int], found: str) -> None:
    with pytest.raises(ValueError, match=rf"expected labels in 0\.\.2, got {found}"):
        one_hot_encode(np.array(labels), num_classes=3)


@pytest.mark.parametrize("dtype", [np.float64, np.bool_, np.str_])
def test_labels_that_are_not_integers_are_rejected(dtype: type[Any]) -> None:
    labels: Array = np.array([0, 1]).astype(dtype)
    with pytest.raises(TypeError, match=f"expected integer labels, got {labels.dtype}"):
        one_hot_encode(labels, num_classes=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_scaled_pixels_are_pixels_over_255_in_single_precision(dtype: type[Any]) -> None:
    pixels: Array = np.arange(MAX_PIXEL + 1).reshape(16, 16).astype(dtype)
    before = pixels.copy()
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, pixels / 255, rtol=2e-7)
    assert (scaled.min(), scaled.max()) == (0, 1)
    np.testing.assert_array_equal(pixels, before)

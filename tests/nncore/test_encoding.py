"""The encodings: one-hot labels and scaled pixels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import one_hot_encode, scale_pixels
from nncore.types import Array


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1))))
)
def test_one_hot_columns_have_a_single_1_at_the_label(drawn: tuple[int, list[int]]) -> None:
    classes, labels = drawn
    encoded = one_hot_encode(np.array(labels, np.int64), num_classes=classes, dtype=np.float32)
    assert encoded.shape == (classes, len(labels))
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded.sum(axis=0), np.ones(len(labels)))
    np.testing.assert_array_equal(encoded[labels, np.arange(len(labels))], np.ones(len(labels)))


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
    pixels: Array = np.arange(256).reshape(16, 16).astype(dtype)
    before = pixels.copy()
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, pixels / 255, rtol=2e-7)
    np.testing.assert_array_equal(pixels, before)

"""The data set: every sample once an epoch, in an order that its generator decides."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import Dataset, scale_pixels
from nncore.types import Array
from tests.nncore.strategies import seeds

MAX_SAMPLES = 40
MAX_BATCH_SIZE = 50

samples = st.integers(1, MAX_SAMPLES)
batch_sizes = st.integers(1, MAX_BATCH_SIZE)


def numbered(count: int, seed: int | None = 0) -> Dataset:
    """Sample n is the row (n, -n), and its target is 10 n."""
    numbers = np.arange(count)
    rng = None if seed is None else np.random.default_rng(seed)
    return Dataset(np.stack([numbers, -numbers], axis=1), 10 * numbers, rng)


def targets_of(data: Dataset, batch_size: int = 4, shuffle: bool = True) -> list[int]:
    return [int(t) for _, ts in data.batch_iterator(batch_size, shuffle) for t in ts]


@given(count=samples, batch_size=batch_sizes, seed=seeds, shuffle=st.booleans())
def test_every_sample_comes_exactly_once_an_epoch_with_its_own_target(
    count: int, batch_size: int, seed: int, shuffle: bool
) -> None:
    data = numbered(count, seed)
    for _epoch in range(2):
        batches = list(data.batch_iterator(batch_size, shuffle))
        inputs = np.concatenate([x for x, _ in batches])
        targets = np.concatenate([t for _, t in batches])
        np.testing.assert_array_equal(np.sort(targets), 10 * np.arange(count))
        np.testing.assert_array_equal(inputs, np.stack([targets, -targets], axis=1) // 10)


@given(count=samples, batch_size=batch_sizes)
def test_every_batch_is_full_but_perhaps_the_last(count: int, batch_size: int) -> None:
    data = numbered(count)
    sizes = [len(t) for _, t in data.batch_iterator(batch_size)]
    assert len(sizes) == data.get_batches(batch_size)
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert 1 <= sizes[-1] <= batch_size


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (1, 1, [1]), (5, 1000, [5])],
)
def test_last_batch_takes_what_is_left(count: int, batch_size: int, sizes: list[int]) -> None:
    data = numbered(count)
    batches = list(data.batch_iterator(batch_size))
    assert [(len(x), len(t)) for x, t in batches] == [(size, size) for size in sizes]
    assert data.get_batches(batch_size) == len(sizes)
    assert data.dataset_size == count


def test_without_shuffling_samples_come_in_order() -> None:
    assert targets_of(numbered(10), shuffle=False) == list(range(0, 100, 10))


def test_shuffling_is_the_default_and_new_each_epoch() -> None:
    data = numbered(20)
    first, second = targets_of(data), targets_of(data)
    in_order = list(range(0, 200, 10))
    assert first != in_order
    assert second not in (in_order, first)


def test_the_same_generator_gives_the_same_order() -> None:
    assert targets_of(numbered(20, seed=3)) == targets_of(numbered(20, seed=3))
    assert targets_of(numbered(20, seed=3)) != targets_of(numbered(20, seed=4))


def test_by_default_the_global_generator_decides_the_order(
    seed_numpy: Callable[[int], None],
) -> None:
    data = numbered(20, seed=None)
    seed_numpy(6)
    first = targets_of(data)
    seed_numpy(6)
    assert targets_of(data) == first
    seed_numpy(6)
    order = np.arange(20)
    np.random.shuffle(order)  # noqa: NPY002
    assert first == [10 * n for n in order]


def test_a_given_generator_leaves_the_global_one_alone(
    seed_numpy: Callable[[int], None],
) -> None:
    seed_numpy(6)
    expected = np.random.random()  # noqa: NPY002
    seed_numpy(6)
    targets_of(numbered(20, seed=3))
    assert np.random.random() == expected  # noqa: NPY002


def test_an_epoch_in_order_draws_nothing() -> None:
    data, untouched = numbered(20, seed=3), numbered(20, seed=3)
    targets_of(data, shuffle=False)
    assert targets_of(data) == targets_of(untouched)


def test_transform_is_applied_to_the_inputs_of_each_batch_only() -> None:
    seen = []

    def negate(x: Array) -> Array:
        seen.append(len(x))
        return -x

    data = Dataset(np.arange(5), np.arange(5), np.random.default_rng(0), negate)
    for x, t in data.batch_iterator(2):
        np.testing.assert_array_equal(x, -t)
    assert seen == [2, 2, 1]
    np.testing.assert_array_equal(data.inputs, np.arange(5))


def test_transform_lets_images_be_kept_as_bytes() -> None:
    images = np.full((3, 2, 2), 255, np.uint8)
    data = Dataset(images, np.zeros(3, int), transform=scale_pixels)
    ((x, _),) = data.batch_iterator(3)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.ones((3, 2, 2)))


def test_batches_are_copies() -> None:
    data = numbered(4)
    for x, t in data.batch_iterator(2):
        x[...] = 99
        t[...] = 99
    assert targets_of(data, shuffle=False) == [0, 10, 20, 30]
    np.testing.assert_array_equal(data.inputs[:, 0], np.arange(4))


@pytest.mark.parametrize(("inputs", "targets"), [(3, 2), (2, 3), (0, 1), (0, 0)])
def test_lengths_that_differ_or_are_0_are_an_error(inputs: int, targets: int) -> None:
    message = f"expected as many inputs as targets, and one at least, got {inputs} and {targets}"
    with pytest.raises(ValueError, match=message):
        Dataset(np.zeros((inputs, 2)), np.zeros(targets))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_less_than_1_is_an_error(batch_size: int) -> None:
    message = f"expected a batch size of 1 or more, got {batch_size}"
    with pytest.raises(ValueError, match=message):
        numbered(3).get_batches(batch_size)
    with pytest.raises(ValueError, match=message):
        next(numbered(3).batch_iterator(batch_size))

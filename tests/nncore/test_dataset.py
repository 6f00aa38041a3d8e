"""The data set: every sample once per epoch, in the order of its generator."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import Dataset
from nncore.types import Array
from tests.nncore.strategies import seeds


def numbered(count: int, seed: int | None = 0) -> Dataset:
    """Sample n is the row (n, -n), and its target is 10 n."""
    numbers = np.arange(count)
    rng = None if seed is None else np.random.default_rng(seed)
    return Dataset(np.stack([numbers, -numbers], axis=1), 10 * numbers, rng)


def targets_of(data: Dataset, shuffle: bool = True) -> list[int]:
    return [int(t) for _, ts in data.batch_iterator(4, shuffle) for t in ts]


@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), seed=seeds, shuffle=st.booleans())
def test_an_epoch_has_every_sample_once_with_its_target_in_full_batches(
    count: int, batch_size: int, seed: int, shuffle: bool
) -> None:
    data = numbered(count, seed)
    for _epoch in range(2):
        batches = list(data.batch_iterator(batch_size, shuffle))
        inputs, targets = map(np.concatenate, zip(*batches, strict=True))
        np.testing.assert_array_equal(np.sort(targets), 10 * np.arange(count))
        np.testing.assert_array_equal(inputs, np.stack([targets, -targets], axis=1) // 10)
        sizes = [len(t) for _, t in batches]
        assert len(sizes) == data.get_batches(batch_size)
        assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
        assert 1 <= sizes[-1] <= batch_size


def test_the_order_is_new_in_each_epoch_and_comes_from_the_generator_or_the_global_one(
    seed_numpy: Callable[[int], None],
) -> None:
    order = np.arange(20)
    seed_numpy(6)
    np.random.shuffle(order)  # noqa: NPY002
    seed_numpy(6)
    data = numbered(20, seed=3)  # leaves the global generator alone
    in_order = targets_of(data, shuffle=False)
    assert in_order == list(range(0, 200, 10))
    assert len({tuple(targets) for targets in (in_order, targets_of(data), targets_of(data))}) == 3
    assert targets_of(numbered(20, seed=None)) == [10 * n for n in order]


def test_the_transform_is_applied_to_the_inputs_of_each_batch() -> None:
    sizes = []

    def negate(x: Array) -> Array:
        sizes.append(len(x))
        return -x

    data = Dataset(np.arange(5), np.arange(5), np.random.default_rng(0), negate)
    for x, t in data.batch_iterator(2):
        np.testing.assert_array_equal(x, -t)
        x[...] = t[...] = 99  # a copy
    assert sizes == [2, 2, 1]
    np.testing.assert_array_equal(data.inputs, np.arange(5))
    np.testing.assert_array_equal(data.targets, np.arange(5))


@pytest.mark.parametrize(("inputs", "targets"), [(3, 2), (0, 0)])
def test_lengths_that_differ_or_are_0_are_rejected(inputs: int, targets: int) -> None:
    with pytest.raises(ValueError, match=f"expected as many inputs .* got {inputs} and {targets}"):
        Dataset(np.zeros((inputs, 2)), np.zeros(targets))


def test_a_batch_size_less_than_1_is_rejected() -> None:
    for call in (numbered(3).get_batches, lambda size: next(numbered(3).batch_iterator(size))):
        with pytest.raises(ValueError, match=r"expected a batch size .* got 0"):
            call(0)

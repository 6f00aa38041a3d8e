"""Proof by force: whatever the order in which threads go on, each gets exactly its own answer."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore import FCModel, SoftmaxCrossEntropy
from nncore.types import Array
from tests.nncore.interleaving import Interleaving

NNCORE = str(Path(nncore.__file__).parent)
THREADS = 4


@pytest.fixture
def model(rng: np.random.Generator) -> FCModel:
    return FCModel((6, 6), (16, 8), 4, loss=SoftmaxCrossEntropy(), rng=rng)


def make_batches(rng: np.random.Generator) -> list[Array]:
    """Batches of several sizes, most of their pixels blank, as those of digits are."""
    sizes = rng.permutation(THREADS) + 1
    return [rng.random((size, 36), np.float32) * (rng.random(36) < 0.3) for size in sizes]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("skips_zeros", [False, True])
def test_predictions_are_exact_however_threads_interleave(
    model: FCModel, rng: np.random.Generator, seed: int, *, skips_zeros: bool
) -> None:
    if skips_zeros:
        model.skip_zeros()
    batches = make_batches(rng)
    alone = [model.predict(batch) for batch in batches]
    interleaving = Interleaving(NNCORE, seed)
    together = interleaving.run([partial(model.predict, batch) for batch in batches])
    assert interleaving.switches > 10 * THREADS
    for got, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("seed", range(5))
def test_attributions_are_exact_too(model: FCModel, rng: np.random.Generator, seed: int) -> None:
    asked = [(batch, rng.integers(0, 4, len(batch))) for batch in make_batches(rng)]
    alone = [model.attribute(*one) for one in asked]
    together = Interleaving(NNCORE, seed).run([partial(model.attribute, *one) for one in asked])
    for got, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_what_keeps_state_on_the_way_is_found_out(model: FCModel, rng: np.random.Generator) -> None:
    """The pass that records is for one thread, and here that shows: the proof could fail."""
    batches = [rng.random((2, 36), np.float32) for _ in range(THREADS)]

    def input_recorded(batch: Array) -> Array:
        model.forward(batch)
        recorded: Array = model.layers[0].x
        return recorded

    asks: list[Callable[[], Array]] = [partial(input_recorded, batch) for batch in batches]
    recorded = Interleaving(NNCORE, 0).run(asks)
    assert any((batch != got.T).any() for got, batch in zip(recorded, batches, strict=True))

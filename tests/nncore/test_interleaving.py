"""Thread safety by forced interleaving: each thread gets exactly its own result."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore import FCModel, SoftmaxCrossEntropy
from nncore.linear import FrozenLinear
from nncore.types import Array
from tests.nncore.interleaving import Interleaving

NNCORE = str(Path(nncore.__file__).parent)
THREADS = 4


@pytest.fixture
def model(rng: np.random.Generator) -> FCModel:
    return FCModel((6, 6), (16, 8), 4, loss=SoftmaxCrossEntropy(), rng=rng)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("frozen", [False, True])
def test_results_are_exact_for_any_interleaving(
    model: FCModel, rng: np.random.Generator, seed: int, *, frozen: bool
) -> None:
    network = model.freeze() if frozen else model
    for layer in network.layers:
        if isinstance(layer, FrozenLinear):
            layer.may_skip = True
    calls: list[Callable[[], Array]] = []
    for size in range(1, THREADS + 1):  # most pixels are 0, as in images of digits
        batch = rng.random((size, 36), np.float32) * (rng.random(36) < 0.3)
        calls.append(partial(network.predict, batch))
        calls.append(partial(network.attribute, batch, rng.integers(0, 4, size)))
    alone = [call() for call in calls]
    interleaving = Interleaving(NNCORE, seed)
    together = interleaving.run(calls)
    assert interleaving.switches > 10 * THREADS
    for got, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_interleaving_detects_shared_state(model: FCModel, rng: np.random.Generator) -> None:
    """`forward` records, so that it is not thread-safe."""
    batches = [rng.random((2, 36), np.float32) for _ in range(THREADS)]

    def recorded_input(batch: Array) -> Array:
        model.forward(batch)
        recorded: Array = model.layers[0].x
        return recorded

    calls: list[Callable[[], Array]] = [partial(recorded_input, batch) for batch in batches]
    recorded = Interleaving(NNCORE, 0).run(calls)
    assert any((batch != got.T).any() for got, batch in zip(recorded, batches, strict=True))

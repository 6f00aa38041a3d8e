"""The notebook's usage and results."""

from collections.abc import Callable

import numpy as np
import pytest

import nncore
from nncore import (
    SGD,
    Dataset,
    FCModel,
    NLLLoss,
    Softmax,
    back_propagate,
    make_sequential,
    train_one_epoch,
)

PUBLIC_NAMES = (
    "Node LinearLayer kaiming_init ReLU Softmax MSE NLLLoss one_hot_encode back_propagate "
    "make_sequential FCModel SGD Dataset get_accuracy train_one_epoch"
)

# Step -> loss, as the notebook printed them.
CLASSIFICATION = {
    0: 60.000000006183456,
    100: 0.016601453438203247,
    200: 0.007880089523236312,
    300: 0.005166124417087274,
    400: 0.0038426757489169313,
}


def test_every_name_of_the_notebook_can_be_imported_with_a_star() -> None:
    assert {*nncore.__all__} >= {*PUBLIC_NAMES.split()}
    assert all(hasattr(nncore, name) for name in nncore.__all__)


def test_softmax_and_nll_reproduce_the_losses_of_the_notebook() -> None:
    logits = 10.0 * np.array([[1, -1, 1], [-1, 1, -1]])
    targets = np.array([[0, 1, 0], [1, 0, 1]])
    softmax, loss = Softmax(), NLLLoss()
    nodes = make_sequential([softmax, loss])
    losses = []
    for _ in range(500):
        losses.append(loss(softmax(logits), targets))
        back_propagate(nodes)
        logits -= softmax.input_grad
    for step, expected in CLASSIFICATION.items():
        assert losses[step] == pytest.approx(expected, rel=0, abs=1e-8)


def test_the_training_loop_of_the_notebook(
    seed_numpy: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    seed_numpy(0)
    labels = np.arange(150) % 10
    images = np.random.random((10, 28, 28))[labels]  # noqa: NPY002
    train = Dataset(images[:100], labels[:100])
    valid = Dataset(images[100:], labels[100:])
    model, optimizer, args = FCModel(), SGD(lr=1e-3), {"batch_size": 64}
    results = []
    for epoch in range(1, 4):
        label = f"Epoch {epoch}"
        results.append(train_one_epoch(model, train, valid, optimizer, args, label=label))
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("[")] == [
        f"[Epoch {epoch}]{phase}" for epoch in (1, 2, 3) for phase in ("Training", "Evaluating")
    ]
    assert results[-1][0] < results[0][0]
    assert results[-1][1].total == 50

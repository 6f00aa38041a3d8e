"""Training and evaluation: steps, epochs, what they return, and that training learns."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import (
    SGD,
    Dataset,
    FCModel,
    Loss,
    NesterovSGD,
    NLLLoss,
    Optimizer,
    SoftmaxCrossEntropy,
    evaluate,
    get_accuracy,
    train_epoch,
    train_one_epoch,
    train_step,
)
from nncore.types import Array

SAMPLES, BATCH_SIZE = 10, 4

both_losses = pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])


def small_model(loss: type[Loss] = NLLLoss) -> FCModel:
    rng = np.random.default_rng(0)
    return FCModel((3, 4), (5,), 3, loss=loss(), rng=rng, dtype=np.float64)


def random_data(count: int = SAMPLES, seed: int = 1) -> Dataset:
    rng = np.random.default_rng(seed)
    return Dataset(rng.random((count, 3, 4)), rng.integers(3, size=count), rng)


def separable_data(seed: int) -> Dataset:
    """Label 1 where the first pixel exceeds the second, with a margin."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=200)
    images = 0.4 * rng.random((200, 2))
    images[np.arange(200), 1 - labels] += 0.5
    return Dataset(images, labels, rng)


def losses_by_hand(model: FCModel, images: Array, labels: Array) -> Array:
    return -np.log(model.predict(images)[labels, np.arange(len(labels))])


def test_accuracy_is_correct_and_total() -> None:
    out = np.array([[0.9, 0.2, 0.1, 0.3], [0.1, 0.8, 0.9, 0.7]])
    accuracy = get_accuracy(out, np.array([0, 1, 0, 1]))
    assert accuracy == (3, 4)
    assert [type(count) for count in accuracy] == [int, int]


@both_losses
@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_evaluation_does_not_depend_on_the_batch_size_and_records_and_draws_nothing(
    loss: type[Loss], batch_size: int
) -> None:
    model, data = small_model(loss), random_data()
    evaluation = evaluate(model, data, batch_size)
    assert all(node.x is None and node.ans is None for node in [*model.layers, model.loss])
    expected = losses_by_hand(model, data.inputs, data.targets)
    assert evaluation.loss == pytest.approx(expected.mean(), rel=1e-12)
    correct = int(np.sum(model.predict(data.inputs).argmax(axis=0) == data.targets))
    assert (evaluation.correct, evaluation.total) == (correct, SAMPLES)
    assert evaluation.accuracy == correct / SAMPLES
    orders = [[*one.batch_iterator(SAMPLES)] for one in (data, random_data())]
    np.testing.assert_array_equal(orders[0][0][1], orders[1][0][1])


@both_losses
def test_an_epoch_returns_the_mean_loss_of_each_batch_before_its_update(
    loss: type[Loss],
) -> None:
    model, replayed, steps = small_model(loss), small_model(loss), []
    got = train_epoch(model, random_data(), SGD(0.1), BATCH_SIZE, lambda *step: steps.append(step))
    expected = []
    for images, labels in random_data().batch_iterator(BATCH_SIZE):
        before = losses_by_hand(replayed, images, labels).sum()
        expected.append((len(labels), pytest.approx(before, rel=1e-12)))
        assert train_step(replayed, images, labels, SGD(0.1)) == expected[-1][1]
        assert losses_by_hand(replayed, images, labels).sum() < before
    assert [samples for samples, _ in steps] == [4, 4, 2]
    assert steps == expected
    assert got == pytest.approx(sum(loss for _, loss in steps) / SAMPLES, rel=1e-12)


def test_train_one_epoch_trains_evaluates_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    model, alone, valid = small_model(), small_model(), random_data(7, 2)
    args = {"batch_size": BATCH_SIZE}
    training_loss, validation = train_one_epoch(
        model, random_data(), valid, SGD(0.1), args, "Epoch 3"
    )
    assert training_loss == train_epoch(alone, random_data(), SGD(0.1), BATCH_SIZE)
    assert validation == evaluate(alone, valid) == evaluate(model, valid)
    assert f"{training_loss:.4f}" in capsys.readouterr().out.splitlines()[-1]


@both_losses
@pytest.mark.parametrize(
    "make_optimizer", [lambda: SGD(0.05), lambda: NesterovSGD(0.02)], ids=["SGD", "Nesterov"]
)
def test_training_learns_a_separable_problem(
    loss: type[Loss], make_optimizer: Callable[[], Optimizer]
) -> None:
    model = FCModel(2, (8,), 2, loss=loss(), rng=np.random.default_rng(0))
    train, optimizer = separable_data(1), make_optimizer()
    losses = [train_epoch(model, train, optimizer, batch_size=32) for _ in range(15)]
    assert losses[-1] < losses[0] / 2
    assert evaluate(model, separable_data(2)).accuracy == 1

"""The loop: what a step, an epoch and an evaluation report, and that training learns."""

from collections.abc import Callable

import numpy as np
import pytest

from nncore import (
    SGD,
    ClassificationLoss,
    Dataset,
    Evaluation,
    FCModel,
    Gradients,
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

SAMPLES = 10
BATCH_SIZE = 4

both_losses = pytest.mark.parametrize("loss", [NLLLoss, SoftmaxCrossEntropy])


def small_model(loss: type[ClassificationLoss] = NLLLoss) -> FCModel:
    rng = np.random.default_rng(0)
    return FCModel((3, 4), (5,), 3, loss=loss(), rng=rng, dtype=np.float64)


def random_samples(count: int = SAMPLES, seed: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.random((count, 3, 4)), rng.integers(3, size=count)


def random_data(count: int = SAMPLES, seed: int = 1) -> Dataset:
    return Dataset(*random_samples(count, seed), np.random.default_rng(seed))


def separable_data(seed: int) -> Dataset:
    """Label 1 where the first pixel outweighs the second, with a gap between the classes."""
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


def test_accuracy_takes_logits_and_targets_that_are_whole_floats() -> None:
    assert get_accuracy(np.array([[-5.0, 3.0], [-9.0, 40.0]]), np.ones(2)) == (1, 2)


def test_an_evaluation_gives_means() -> None:
    evaluation = Evaluation(total_loss=6.0, correct=3, total=12)
    assert (evaluation.loss, evaluation.accuracy) == (0.5, 0.25)


@both_losses
@pytest.mark.parametrize("batch_size", [1, 4, SAMPLES, 1000])
def test_evaluation_is_right_whatever_the_batch_size(
    loss: type[ClassificationLoss], batch_size: int
) -> None:
    model, (images, labels) = small_model(loss), random_samples()
    evaluation = evaluate(model, random_data(), batch_size)
    expected = losses_by_hand(model, images, labels)
    assert evaluation.loss == pytest.approx(expected.mean(), rel=1e-12)
    assert evaluation.total_loss == pytest.approx(expected.sum(), rel=1e-12)
    correct = int(np.sum(model.predict(images).argmax(axis=0) == labels))
    assert (evaluation.correct, evaluation.total) == (correct, SAMPLES)
    assert evaluation.accuracy == correct / SAMPLES


@both_losses
def test_evaluation_leaves_the_records_of_the_nodes_and_the_generator_alone(
    loss: type[ClassificationLoss],
) -> None:
    model = small_model(loss)
    data, untouched = random_data(), random_data()
    evaluate(model, data)
    for node in [*model.layers, model.loss]:
        assert [node.x, node.ans] == [None, None]
    assert model.loss.t is None
    for (_, got), (_, expected) in zip(
        data.batch_iterator(4), untouched.batch_iterator(4), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@both_losses
def test_a_step_gives_the_summed_loss_from_before_the_update(
    loss: type[ClassificationLoss],
) -> None:
    model, (images, labels) = small_model(loss), random_samples()
    expected = losses_by_hand(model, images, labels).sum()
    got = train_step(model, images, labels, SGD(0.01))
    assert type(got) is float
    assert got == pytest.approx(expected, rel=1e-12)
    assert losses_by_hand(model, images, labels).sum() < expected


@both_losses
def test_an_epoch_gives_the_mean_an_image_although_the_last_batch_is_smaller(
    loss: type[ClassificationLoss],
) -> None:
    model, (images, labels) = small_model(loss), random_samples()
    assert SAMPLES % BATCH_SIZE != 0
    got = train_epoch(model, random_data(), SGD(0), BATCH_SIZE)
    assert got == pytest.approx(losses_by_hand(model, images, labels).mean(), rel=1e-12)


def test_an_epoch_counts_each_batch_before_the_step_it_led_to() -> None:
    model, replayed = small_model(), small_model()
    got = train_epoch(model, random_data(), SGD(0.1), BATCH_SIZE)
    expected = 0.0
    for images, labels in random_data().batch_iterator(BATCH_SIZE):
        expected += losses_by_hand(replayed, images, labels).sum()
        train_step(replayed, images, labels, SGD(0.1))
    assert got == pytest.approx(expected / SAMPLES, rel=1e-12)


class CountingSGD(SGD):
    steps = 0

    def step(self, grads: Gradients) -> None:
        super().step(grads)
        self.steps += 1


def test_an_epoch_steps_once_a_batch_and_says_how_many_samples_each_took() -> None:
    taken: list[tuple[int, float]] = []
    optimizer = CountingSGD(0.01)
    mean = train_epoch(
        small_model(),
        random_data(),
        optimizer,
        BATCH_SIZE,
        lambda samples, loss: taken.append((samples, loss)),
    )
    assert [samples for samples, _ in taken] == [4, 4, 2]
    assert sum(loss for _, loss in taken) / 10 == pytest.approx(mean, rel=1e-12)
    assert optimizer.steps == 3


def test_after_step_comes_after_the_step() -> None:
    optimizer, steps = CountingSGD(0.01), []
    train_epoch(
        small_model(),
        random_data(),
        optimizer,
        BATCH_SIZE,
        after_step=lambda *_: steps.append(optimizer.steps),
    )
    assert steps == [1, 2, 3]


def test_training_and_validating_is_an_epoch_and_then_an_evaluation() -> None:
    model, alone, valid = small_model(), small_model(), random_data(7, 2)
    result = train_one_epoch(model, random_data(), valid, SGD(0.1), {"batch_size": BATCH_SIZE})
    assert result.training_loss == train_epoch(alone, random_data(), SGD(0.1), BATCH_SIZE)
    assert result.validation == evaluate(alone, valid)
    assert evaluate(model, valid) == result.validation


def test_training_and_validating_prints_three_lines(capsys: pytest.CaptureFixture[str]) -> None:
    model, args = small_model(), {"batch_size": BATCH_SIZE}
    result = train_one_epoch(model, random_data(), random_data(7, 2), SGD(0.1), args, "Epoch 3")
    share = 100 * result.validation.correct / 7
    assert capsys.readouterr().out.splitlines() == [
        "[Epoch 3]Training",
        "[Epoch 3]Evaluating",
        f"Training loss {result.training_loss:.4f}, valid loss {result.validation.loss:.4f}, "
        f"valid acc {share:.2f}%",
    ]


def test_label_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    args = {"batch_size": BATCH_SIZE}
    train_one_epoch(small_model(), random_data(), random_data(), SGD(0.1), args)
    assert capsys.readouterr().out.splitlines()[:2] == ["[]Training", "[]Evaluating"]


@both_losses
@pytest.mark.parametrize(
    "make_optimizer", [lambda: SGD(0.05), lambda: NesterovSGD(0.02)], ids=["SGD", "Nesterov"]
)
def test_training_learns_what_can_be_learned(
    loss: type[ClassificationLoss], make_optimizer: Callable[[], Optimizer]
) -> None:
    model = FCModel(2, (8,), 2, loss=loss(), rng=np.random.default_rng(0))
    train, optimizer = separable_data(1), make_optimizer()
    losses = [train_epoch(model, train, optimizer, batch_size=32) for _ in range(15)]
    assert losses[-1] < losses[0] / 2
    assert evaluate(model, separable_data(2)).accuracy == 1


def test_the_same_seeds_give_the_same_weights_to_the_last_bit() -> None:
    def trained(seed: int) -> bytes:
        model, data, optimizer = small_model(), random_data(seed=seed), NesterovSGD(0.01)
        for _ in range(2):
            train_epoch(model, data, optimizer, BATCH_SIZE)
        return b"".join(value.tobytes() for value in model.state_dict().values())

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)

"""Training by a recipe: learning, schedule, history, early stopping, divergence, memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from nncore import SGD, Gradients, evaluate
from nncore.types import Array
from tests.support.data import toy_problem
from trainer import recipe as recipes
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.errors import TrainerError
from trainer.fit import fit
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.recipe import Recipe
from trainer.training_state import TrainingState

RECIPE = Recipe(hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=6, augmentation=None)
PLAIN_SGD = replace(RECIPE, momentum=0, schedule="constant")
TRAIN, VALID = toy_problem(90, seed=1), toy_problem(30, seed=2)


def begin(recipe: Recipe = RECIPE, train: LabelledImages = TRAIN) -> TrainingState:
    return TrainingState.begin(recipe, train.images.shape[1:], 3, np.random.default_rng(0))


def run(recipe: Recipe = RECIPE) -> TrainingState:
    state = begin(recipe)
    fit(state, recipe, TRAIN, VALID)
    return state


def weights(state: TrainingState) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in state.model.state_dict().items()}


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of every step of plain SGD."""
    rates: list[float] = []

    class Recorder(SGD):
        def step(self, grads: Gradients) -> None:
            rates.append(self.lr)
            super().step(grads)

    monkeypatch.setattr(recipes, "SGD", Recorder)
    return rates


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("hidden_sizes", [(), (8, 6, 5)])
def test_a_separable_problem_is_learned(momentum: float, hidden_sizes: tuple[int, ...]) -> None:
    fitted = run(replace(RECIPE, momentum=momentum, hidden_sizes=hidden_sizes, epochs=20))
    assert fitted.model.layer_sizes == (12, *hidden_sizes, 3)
    assert fitted.history[-1].validation_accuracy == 1
    assert fitted.history[-1].validation_loss < fitted.history[0].validation_loss / 2
    assert fitted.history[-1].training_loss < fitted.history[0].training_loss / 2
    assert {value.dtype for value in fitted.model.state_dict().values()} == {np.dtype("f4")}


@pytest.mark.parametrize("shape", [(4, 3), (12,), (2, 2, 3)], ids=str)
def test_augmentation_changes_training_on_images_with_rows_and_columns_only(
    shape: tuple[int, ...],
) -> None:
    train, valid = toy_problem(60, shape=shape), toy_problem(30, shape=shape)
    plain, augmented = begin(train=train), begin(train=train)
    fit(plain, RECIPE, train, valid)
    fit(augmented, replace(RECIPE, augmentation=DEFAULT_STRENGTH), train, valid)
    assert (weights(plain) == weights(augmented)) == (len(shape) != 2)
    again = evaluate(augmented.model, valid.as_dataset())  # of the images as they are
    assert augmented.history[-1].validation_loss == again.loss
    assert augmented.history[-1].validation_accuracy == again.accuracy


def test_every_epoch_is_recorded_logged_and_passed_to_the_callbacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, recipe = begin(), replace(RECIPE, epochs=3)
    received: list[EpochRecord] = []
    fit(state, recipe, TRAIN, VALID, [received.append])
    lines = capsys.readouterr().out.splitlines()
    assert received == state.history
    assert len(lines) == len(received) == 3
    for number, (line, record) in enumerate(zip(lines, received, strict=True), start=1):
        assert line.startswith(f"epoch {number}/3  loss {record.training_loss:.4f}  ")
        assert record.epoch == number
        assert record.images_per_second > 0
    assert 0 < received[0].seconds < received[1].seconds < received[2].seconds


def test_training_works_in_any_thread() -> None:
    state = begin()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(fit, state, RECIPE, TRAIN, VALID).result()
    assert weights(state) == weights(run())


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_step_has_the_learning_rate_of_the_schedule(
    rates: list[float], schedule: str
) -> None:
    recipe = Recipe((), 0.01, 0, schedule, batch_size=40, epochs=2, augmentation=None)
    run(recipe)
    done = [0, 40, 80, 90, 130, 170]
    assert rates == [recipe.learning_rate_at(images / 180) for images in done]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("batch_size", [16, len(TRAIN)])
@pytest.mark.parametrize("learning_rate", [1e3, 1e300])
def test_divergence_ends_the_training_at_the_next_step(
    rates: list[float], learning_rate: float, batch_size: int
) -> None:
    recipe = replace(PLAIN_SGD, learning_rate=learning_rate, batch_size=batch_size, epochs=1)
    with pytest.raises(TrainerError, match=r"training diverged: loss .* in epoch 1: .*--learning"):
        run(recipe)
    assert len(rates) <= 2


def test_the_best_epoch_is_the_first_of_lowest_validation_loss() -> None:
    state = begin()
    assert state.best_epoch == 0
    copies: list[dict[str, Array]] = []
    for epoch, loss in enumerate([3.0, 1.0, 2.0, 1.0], start=1):
        state.model.layers[0].parameters[0][...] = epoch
        state.add(EpochRecord(epoch, 0.1, 1.0, loss, 0.5, 1.0, 1.0))
        assert state.best_weights is not None
        copies.append(state.best_weights)
    assert state.best_epoch == 2
    assert [copy["0.weight"][0, 0] for copy in copies] == [1, 2, 2, 2]
    state.use_best_weights()
    assert (state.model.state_dict()["0.weight"] == 2).all()


def test_one_low_loss_among_many_epochs_is_chance() -> None:
    state = begin()
    for epoch in range(1, 101):
        loss = 0.1 if epoch == 40 else 1 - epoch / 200
        state.history.append(EpochRecord(epoch, 0.1, 1.0, loss, 0.5, 1.0, 1.0))
    assert state.best_epoch == 100
    for epoch in range(101, 151):  # then it overfits
        state.history.append(EpochRecord(epoch, 0.1, 1.0, epoch / 100, 0.5, 1.0, 1.0))
    assert 95 <= state.best_epoch <= 100


def test_early_stopping_ends_the_training_and_keeps_the_best_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = replace(RECIPE, learning_rate=1e-30, momentum=0, epochs=50, patience=3)
    state = begin(recipe)
    seen: list[bytes] = []
    fit(state, recipe, TRAIN, VALID, [lambda _: seen.append(weights(state)["0.weight"])])
    assert state.best_epoch == 1  # nothing changes at this learning rate
    assert len(state.history) == 4
    state.use_best_weights()
    assert weights(state)["0.weight"] == seen[0]
    assert "early stopping" in capsys.readouterr().out.splitlines()[-1]
    assert len(run(replace(RECIPE, patience=2)).history) == RECIPE.epochs

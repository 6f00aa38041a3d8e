"""Training learns, repeats itself for a seed, follows its recipe, and says when it diverges."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from nncore import SGD, Gradients, evaluate
from tests.trainer.data import toy_problem
from trainer import recipe as recipes
from trainer.augmentation import DEFAULT_STRENGTH, Strength
from trainer.errors import TrainerError
from trainer.fit import Fit, as_dataset, fit
from trainer.labelled_images import LabelledImages
from trainer.recipe import Recipe

RECIPE = Recipe(hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=6, augmentation=None)
TRAIN, VALID = toy_problem(90, seed=1), toy_problem(30, seed=2)


def run(recipe: Recipe = RECIPE, seed: int = 0) -> Fit:
    return fit(recipe, TRAIN, VALID, 3, np.random.default_rng(seed))


def weights(fitted: Fit) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in fitted.model.state_dict().items()}


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("hidden_sizes", [(), (8,), (8, 6, 5)])
def test_a_separable_problem_is_learnt(momentum: float, hidden_sizes: tuple[int, ...]) -> None:
    fitted = run(replace(RECIPE, momentum=momentum, hidden_sizes=hidden_sizes, epochs=20))
    assert fitted.model.layer_sizes == (12, *hidden_sizes, 3)
    assert fitted.history[-1].validation.accuracy == 1
    assert fitted.history[-1].validation.loss < fitted.history[0].validation.loss / 2
    assert fitted.history[-1].training_loss < fitted.history[0].training_loss / 2


@pytest.mark.parametrize("augmentation", [None, DEFAULT_STRENGTH])
def test_a_seed_gives_the_same_weights_to_the_byte(augmentation: Strength | None) -> None:
    recipe = replace(RECIPE, augmentation=augmentation)
    first, same = run(recipe, seed=4), run(recipe, seed=4)
    assert weights(first) == weights(same)
    assert first.history == same.history


def test_another_seed_gives_other_weights() -> None:
    first, other = weights(run(seed=4)), weights(run(seed=5))
    assert all(first[name] != other[name] for name in first)


def test_weights_are_of_single_precision() -> None:
    assert {value.dtype for value in run().model.state_dict().values()} == {np.dtype("f4")}


def test_augmentation_changes_what_is_learnt_from_and_not_what_is_measured_on() -> None:
    plain, augmented = run(), run(replace(RECIPE, augmentation=DEFAULT_STRENGTH))
    assert weights(plain) != weights(augmented)
    again = evaluate(augmented.model, as_dataset(VALID))
    assert augmented.history[-1].validation == again


@pytest.mark.parametrize("shape", [(12,), (1, 12), (12, 1), (2, 2, 3)], ids=str)
def test_images_that_cannot_be_deformed_are_learnt_as_they_are(shape: tuple[int, ...]) -> None:
    train, valid = toy_problem(60, shape=shape), toy_problem(30, shape=shape)
    plain, asked_for_more = (
        fit(replace(RECIPE, augmentation=on), train, valid, 3, np.random.default_rng(0))
        for on in (None, DEFAULT_STRENGTH)
    )
    assert weights(plain) == weights(asked_for_more)


def test_numpys_global_generator_is_left_alone() -> None:
    before = repr(np.random.get_state())  # noqa: NPY002
    run()
    assert repr(np.random.get_state()) == before  # noqa: NPY002


@pytest.mark.parametrize("epochs", [1, 3])
def test_every_epoch_is_in_the_history_and_in_a_line(
    epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = run(replace(RECIPE, epochs=epochs))
    lines = capsys.readouterr().out.splitlines()
    assert len(fitted.history) == len(lines) == epochs
    for number, (line, result) in enumerate(zip(lines, fitted.history, strict=True), start=1):
        assert line.startswith(f"epoch {number}/{epochs}  loss {result.training_loss:.4f}  ")
        assert f"validation {result.validation.accuracy:.2%}" in line
        assert "images/s" in line
        assert line.endswith("s left")
        assert result.validation.total == 30
    assert lines[-1].endswith(" 0 s left")
    assert fitted.seconds > 0


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_step_is_taken_at_the_learning_rate_of_the_schedule(
    monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    rates: list[float] = []

    class Recorder(SGD):
        def step(self, grads: Gradients) -> None:
            rates.append(self.lr)
            super().step(grads)

    monkeypatch.setattr(recipes, "SGD", Recorder)
    recipe = Recipe((), 0.01, 0, schedule, batch_size=40, epochs=2, augmentation=None)
    run(recipe)
    done = [0, 40, 80, 90, 130, 170]
    assert rates == [recipe.learning_rate_at(images / 180) for images in done]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("learning_rate", [1e30, 1e300])
def test_a_loss_that_is_not_finite_ends_the_training(
    learning_rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, momentum=0, schedule="constant", learning_rate=learning_rate)
    with pytest.raises(
        TrainerError, match=r"expected a finite loss, got (nan|inf) in epoch 1: .*--learning-rate"
    ):
        run(recipe)
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_lost_in_the_very_last_step_count_as_divergence_too() -> None:
    recipe = Recipe((8,), 1e300, 0, "constant", len(TRAIN), epochs=1, augmentation=None)
    with pytest.raises(TrainerError, match="finite"):
        run(recipe)


def test_images_are_kept_as_the_bytes_they_are() -> None:
    data = as_dataset(TRAIN)
    assert data.inputs is TRAIN.images
    (images, labels), *_ = data.batch_iterator(7, shuffle=False)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images * 255, TRAIN.images[:7], rtol=1e-6)
    np.testing.assert_array_equal(labels, TRAIN.labels[:7])


@pytest.mark.parametrize("augmentation", [None, DEFAULT_STRENGTH])
def test_training_takes_no_copy_of_all_images(augmentation: Strength | None) -> None:
    images = np.zeros((6000, 40, 40), np.uint8)
    train = LabelledImages(images, np.arange(6000) % 2)
    valid = LabelledImages(images[:10], np.arange(10) % 2)
    recipe = Recipe(hidden_sizes=(), batch_size=100, epochs=1, augmentation=augmentation)
    tracemalloc.start()
    try:
        fit(recipe, train, valid, 2, np.random.default_rng(0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < images.nbytes / 2

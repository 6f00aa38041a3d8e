"""The training loop over the epochs of a recipe."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from nncore import Dataset, evaluate, scale_pixels, train_epoch
from trainer.augmentation import Augmentation, applies_to
from trainer.distillation import Teachers
from trainer.errors import TrainerError
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.progress import log, progress_bar
from trainer.recipe import Recipe
from trainer.signals import deferred_signals
from trainer.training_state import TrainingState

# Random guessing has a loss of log(classes), a few nats; far more means divergence.
DIVERGED_LOSS = 1000.0


@np.errstate(all="ignore")  # the loss reports divergence
def fit(
    state: TrainingState,
    recipe: Recipe,
    train: LabelledImages,
    valid: LabelledImages,
    after_epoch: Sequence[Callable[[EpochRecord], None]] = (),
    teachers: Teachers | None = None,
) -> None:
    """Train from the last epoch of the state to the last of the recipe, or until early stopping.

    The state then holds the weights of the last epoch, and `best_weights` those of the best.

    Args:
        state: Changed in place; an exception may leave it in the middle of an epoch.
        recipe: The hyper-parameters.
        train: The training images.
        valid: The validation images, measured after each epoch.
        after_epoch: Called with the record of each epoch, after it is added to the state.
        teachers: Their probabilities are the second target; the model has a `DistillationLoss`.

    Raises:
        TrainerError: Training diverged.
    """
    image_shape = train.images.shape[1:]
    transform = (
        Augmentation(image_shape, state.rng, recipe.augmentation)
        if recipe.augmentation and applies_to(image_shape)
        else scale_pixels
    )
    train_data = Dataset(train.images, train.labels, state.rng, transform)
    valid_data = valid.as_dataset()
    images_total = recipe.epochs * len(train)
    images_done = len(state.history) * len(train)
    seconds_before = state.history[-1].seconds if state.history else 0.0
    start = time.monotonic()

    with (
        progress_bar(images_total, "training", "image", images_done) as bar,
        deferred_signals() as raise_pending_signal,
    ):

        def set_learning_rate() -> None:
            state.optimizer.lr = recipe.learning_rate_at(images_done / images_total)

        def after_step(images: int, loss: float) -> None:
            nonlocal images_done
            _check(loss / images, len(state.history) + 1)
            images_done += images
            set_learning_rate()
            bar.update(images)
            raise_pending_signal()

        set_learning_rate()
        while len(state.history) < recipe.epochs and not _out_of_patience(state, recipe):
            epoch_start = time.monotonic()
            training_loss = train_epoch(
                state.model,
                train_data,
                state.optimizer,
                recipe.batch_size,
                after_step,
                partial(teachers.probabilities, temperature=recipe.temperature)
                if teachers
                else None,
            )
            speed = len(train) / (time.monotonic() - epoch_start)
            validation = evaluate(state.model, valid_data)
            epoch = len(state.history) + 1
            _check(validation.loss, epoch)
            record = EpochRecord(
                epoch=epoch,
                learning_rate=state.optimizer.lr,
                training_loss=training_loss,
                validation_loss=validation.loss,
                validation_accuracy=validation.accuracy,
                images_per_second=speed,
                seconds=seconds_before + time.monotonic() - start,
            )
            state.add(record)
            _log(record, recipe.epochs)
            for callback in after_epoch:
                callback(record)
    if _out_of_patience(state, recipe):
        log(f"early stopping: no epoch better than {state.best_epoch} in {recipe.patience} epochs")


def _out_of_patience(state: TrainingState, recipe: Recipe) -> bool:
    return recipe.patience is not None and len(state.history) - state.best_epoch >= recipe.patience


def _check(loss: float, epoch: int) -> None:
    if not loss < DIVERGED_LOSS:  # also true of NaN
        raise TrainerError(
            f"training diverged: loss {loss:.3g} per image in epoch {epoch}: "
            "try a lower --learning-rate"
        )


def _log(record: EpochRecord, epochs: int) -> None:
    seconds_left = record.seconds / record.epoch * (epochs - record.epoch)
    log(
        f"epoch {record.epoch}/{epochs}  loss {record.training_loss:.4f}  "
        f"validation {record.validation_accuracy:.2%}  "
        f"{record.images_per_second:,.0f} images/s  {seconds_left:.0f} s left"
    )

"""Training by a recipe: the loop around the epochs, and what it tells along the way."""

import math
import time
from dataclasses import dataclass

import numpy as np

from nncore import (
    Dataset,
    EpochResult,
    FCModel,
    SoftmaxCrossEntropy,
    evaluate,
    scale_pixels,
    train_epoch,
)
from trainer.augmentation import Augmentation, applies_to
from trainer.errors import TrainerError
from trainer.labelled_images import LabelledImages
from trainer.progress import log, progress_bar
from trainer.recipe import Recipe
from trainer.signals import deferred_signals


@dataclass(frozen=True)
class Fit:
    """A trained network and how it came about.

    Attributes:
        model: The network after the last epoch.
        history: One entry an epoch.
        seconds: How long training and validation took.
    """

    model: FCModel
    history: list[EpochResult]
    seconds: float


@np.errstate(all="ignore")  # divergence is told once, by the loss, and not by each operation
def fit(
    recipe: Recipe,
    train: LabelledImages,
    valid: LabelledImages,
    num_classes: int,
    rng: np.random.Generator,
) -> Fit:
    """Train a network from nothing; all randomness comes from `rng`.

    Raises:
        TrainerError: The loss is not finite any more.
    """
    image_shape = train.images.shape[1:]
    model = FCModel(
        image_shape,
        recipe.hidden_sizes,
        num_classes,
        loss=SoftmaxCrossEntropy(),
        rng=rng,
        needs_input_grad=False,
    )
    transform = (
        Augmentation(image_shape, rng, recipe.augmentation)
        if recipe.augmentation and applies_to(image_shape)
        else scale_pixels
    )
    train_data = Dataset(train.images, train.labels, rng, transform)
    valid_data = as_dataset(valid)
    optimizer = recipe.make_optimizer()
    images_in_all = recipe.epochs * len(train)
    images_done = 0
    history: list[EpochResult] = []
    start = time.monotonic()

    with (
        progress_bar(images_in_all, "training", "image") as bar,
        deferred_signals() as stop_if_asked,
    ):

        def after_step(images: int) -> None:
            nonlocal images_done
            images_done += images
            optimizer.lr = recipe.learning_rate_at(images_done / images_in_all)
            bar.update(images)
            stop_if_asked()

        for epoch in range(1, recipe.epochs + 1):
            epoch_start = time.monotonic()
            loss = train_epoch(model, train_data, optimizer, recipe.batch_size, after_step)
            speed = len(train) / (time.monotonic() - epoch_start)
            result = EpochResult(loss, evaluate(model, valid_data))
            _check_finite(result, epoch)
            history.append(result)
            seconds_left = (time.monotonic() - start) / epoch * (recipe.epochs - epoch)
            log(
                f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}  "
                f"validation {result.validation.accuracy:.2%}  "
                f"{speed:,.0f} images/s  {seconds_left:.0f} s left"
            )
    return Fit(model, history, time.monotonic() - start)


def as_dataset(data: LabelledImages) -> Dataset:
    """Wrap images for measuring: they stay uint8 and are scaled batch by batch."""
    return Dataset(data.images, data.labels, transform=scale_pixels)


def _check_finite(result: EpochResult, epoch: int) -> None:
    for loss in (result.training_loss, result.validation.loss):
        if not math.isfinite(loss):
            raise TrainerError(
                f"expected a finite loss, got {loss} in epoch {epoch}: try a lower --learning-rate"
            )

"""The training loop: step, epoch and evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nncore.dataset import Dataset
from nncore.graph import back_propagate
from nncore.model import FCModel
from nncore.optimizers import Optimizer
from nncore.types import Array


def get_accuracy(out: Array, targets: Array) -> tuple[int, int]:
    """Return `(correct, total)` for outputs `(classes, batch)` and labels `(batch,)`."""
    return int(np.sum(out.argmax(axis=0) == targets)), targets.shape[0]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: the summed loss, the correct samples, all samples."""

    total_loss: float
    correct: int
    total: int

    @property
    def loss(self) -> float:
        """The mean loss per sample, in nats."""
        return self.total_loss / self.total

    @property
    def accuracy(self) -> float:
        """The share of correct samples, 0 to 1."""
        return self.correct / self.total


def evaluate(model: FCModel, data: Dataset, batch_size: int = 256) -> Evaluation:
    """Measure a model on a data set, in order and without recording in its nodes."""
    total_loss, correct, total = 0.0, 0, 0
    for x, t in data.batch_iterator(batch_size, shuffle=False):
        out = model.apply(x)
        total_loss += float(model.loss.apply(out, t))
        batch_correct, batch_total = get_accuracy(out, t)
        correct += batch_correct
        total += batch_total
    return Evaluation(total_loss, correct, total)


def train_step(
    model: FCModel, x: Array, t: Array | tuple[Array, ...], optimizer: Optimizer
) -> float:
    """Run one training step on a batch: forward, loss, backwards, update.

    Args:
        model: Changed in place.
        x: Floats, `(batch, *input_shape)` or `(batch, pixels)`.
        t: Labels, `(batch,)`, or all targets of the model's loss.
        optimizer: Updates the parameters.

    Returns:
        The loss summed over the batch, before the update.
    """
    targets = t if isinstance(t, tuple) else (t,)
    loss = model.loss(model.forward(x), *targets)
    optimizer.step(back_propagate(model.topsorted))
    return float(loss)


def train_epoch(
    model: FCModel,
    data: Dataset,
    optimizer: Optimizer,
    batch_size: int,
    after_step: Callable[[int, float], None] | None = None,
    teacher: Callable[[Array], Array] | None = None,
) -> float:
    """Run a training step on every batch of the data set.

    Args:
        model: Changed in place.
        data: The training data.
        optimizer: Updates the parameters.
        batch_size: Samples per step; the last step may have fewer.
        after_step: Called after each step with the number of its samples and their summed loss.
        teacher: Returns a second target of the model's loss for the inputs of a batch, such as the
            probabilities of `DistillationLoss`, `(classes, batch)`.

    Returns:
        The mean loss per sample, each computed before its batch's update.
    """
    total_loss = 0.0
    for x, t in data.batch_iterator(batch_size):
        loss = train_step(model, x, (t, teacher(x)) if teacher else t, optimizer)
        total_loss += loss
        if after_step:
            after_step(len(t), loss)
    return total_loss / data.dataset_size

"""The loop: one step, one epoch, and how well the model does on a data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nncore.dataset import Dataset
from nncore.graph import back_propagate
from nncore.model import FCModel
from nncore.optimizers import Optimizer
from nncore.types import Array


def get_accuracy(out: Array, targets: Array) -> tuple[int, int]:
    """Count the samples whose highest answer is the target.

    Args:
        out: Probabilities or logits, `(classes, batch)`.
        targets: Labels, `(batch,)`.

    Returns:
        `(correct, total)`.
    """
    return int(np.sum(out.argmax(axis=0) == targets)), targets.shape[0]


@dataclass(frozen=True)
class Evaluation:
    """How a model does on a data set: its summed loss, the images it reads right, all images."""

    total_loss: float
    correct: int
    total: int

    @property
    def loss(self) -> float:
        """The mean loss an image, in nats."""
        return self.total_loss / self.total

    @property
    def accuracy(self) -> float:
        """The share of images read right, 0 to 1."""
        return self.correct / self.total


def evaluate(model: FCModel, data: Dataset, batch_size: int = 256) -> Evaluation:
    """Measure a model on a data set, in order and leaving the nodes' records alone."""
    total_loss, correct, total = 0.0, 0, 0
    for x, t in data.batch_iterator(batch_size, shuffle=False):
        out = model.apply(x)
        total_loss += float(model.loss.apply(out, t))
        batch_correct, batch_total = get_accuracy(out, t)
        correct += batch_correct
        total += batch_total
    return Evaluation(total_loss, correct, total)


def train_step(model: FCModel, x: Array, t: Array, optimizer: Optimizer) -> float:
    """Take one step on one batch: forward, loss, backwards, update.

    Args:
        model: The network, changed in place.
        x: Floats, `(batch, *input_shape)` or `(batch, pixels)`.
        t: Labels, `(batch,)`.
        optimizer: How it learns.

    Returns:
        The loss summed over the batch, from before the update.
    """
    loss = model.loss(model.forward(x), t)
    optimizer.step(back_propagate(model.topsorted))
    return float(loss)


def train_epoch(
    model: FCModel,
    data: Dataset,
    optimizer: Optimizer,
    batch_size: int,
    after_step: Callable[[int, float], None] | None = None,
) -> float:
    """Take a step on every batch of the data set, once through it.

    Args:
        model: The network, changed in place.
        data: What it learns from.
        optimizer: How it learns.
        batch_size: Samples a step; the last one may have fewer.
        after_step: Called after each step with the number of its samples and their summed loss.

    Returns:
        The mean loss a sample, each from before the step that its batch led to.
    """
    total_loss = 0.0
    for x, t in data.batch_iterator(batch_size):
        loss = train_step(model, x, t, optimizer)
        total_loss += loss
        if after_step:
            after_step(len(t), loss)
    return total_loss / data.dataset_size


@dataclass(frozen=True)
class EpochResult:
    """What an epoch gave: the mean training loss a sample on the way, the validation at its end."""

    training_loss: float
    validation: Evaluation


def train_one_epoch(
    model: FCModel,
    train: Dataset,
    valid: Dataset,
    optimizer: Optimizer,
    args: Mapping[str, int],
    label: str = "",
) -> EpochResult:
    """Train for an epoch, then measure on `valid`, and print how it went.

    Args:
        model: The network, changed in place.
        train: What it learns from.
        valid: What it is measured on.
        optimizer: How it learns.
        args: `{"batch_size": n}`.
        label: Stands before the lines that tell where it is.
    """
    print(f"[{label}]Training")
    training_loss = train_epoch(model, train, optimizer, args["batch_size"])
    print(f"[{label}]Evaluating")
    validation = evaluate(model, valid)
    print(
        f"Training loss {training_loss:.4f}, valid loss {validation.loss:.4f}, "
        f"valid acc {validation.accuracy:.2%}"
    )
    return EpochResult(training_loss, validation)

"""The state of a training run, as a checkpoint stores it."""

from dataclasses import dataclass, field

import numpy as np

import nncore
from nncore import DistillationLoss, FCModel, Optimizer, SoftmaxCrossEntropy
from nncore.types import Array
from trainer.history import EpochRecord
from trainer.recipe import Recipe


@dataclass
class TrainingState:
    """A run between two epochs.

    Attributes:
        model: The network.
        optimizer: Its optimizer.
        rng: The random source of training.
        history: One record for each completed epoch.
        best_weights: A copy of the state dict after the best epoch; None before the first.
    """

    model: FCModel
    optimizer: Optimizer
    rng: np.random.Generator
    history: list[EpochRecord] = field(default_factory=list)
    best_weights: dict[str, Array] | None = None

    @classmethod
    def begin(
        cls,
        recipe: Recipe,
        image_shape: tuple[int, ...],
        num_classes: int,
        rng: np.random.Generator,
        *,
        has_teachers: bool = False,
    ) -> "TrainingState":
        """Return the state before the first epoch, with random weights."""
        model = FCModel(
            image_shape,
            recipe.hidden_sizes,
            num_classes,
            loss=(
                DistillationLoss(recipe.temperature, recipe.teacher_weight)
                if has_teachers
                else SoftmaxCrossEntropy()
            ),
            activation=getattr(nncore, recipe.activation),
            rng=rng,
            needs_input_grad=False,
        )
        return cls(model, recipe.make_optimizer(), rng)

    @property
    def best_epoch(self) -> int:
        """The number of the epoch with the lowest validation loss; 0 before the first.

        Each loss is the mean over the last tenth of the epochs up to it: on 5,000 images it
        fluctuates from epoch to epoch, so that the lowest of hundreds is chance.
        """
        if not self.history:
            return 0
        losses = [record.validation_loss for record in self.history]
        ends = range(1, len(losses) + 1)
        return 1 + int(np.argmin([np.mean(losses[end - max(1, end // 10) : end]) for end in ends]))

    def add(self, record: EpochRecord) -> None:
        """Add a completed epoch, and copy the weights if it is the best so far."""
        self.history.append(record)
        if self.best_epoch == record.epoch:
            self.best_weights = {k: v.copy() for k, v in self.model.state_dict().items()}

    def use_best_weights(self) -> None:
        """Load the weights of the best epoch, if there is one."""
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)

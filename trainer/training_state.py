"""Everything that changes while a network trains, and nothing that does not."""

from dataclasses import dataclass, field

import numpy as np

from nncore import FCModel, Optimizer, SoftmaxCrossEntropy
from nncore.types import Array
from trainer.history import EpochRecord
from trainer.recipe import Recipe


@dataclass
class TrainingState:
    """A run between two epochs: what a checkpoint must hold for the next epoch to be the same.

    Attributes:
        model: The network.
        optimizer: What moves it.
        rng: Where all randomness of training comes from.
        history: One entry for each epoch that is done.
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
    ) -> "TrainingState":
        """Draw a network's first weights."""
        model = FCModel(
            image_shape,
            recipe.hidden_sizes,
            num_classes,
            loss=SoftmaxCrossEntropy(),
            rng=rng,
            needs_input_grad=False,
        )
        return cls(model, recipe.make_optimizer(), rng)

    @property
    def best_epoch(self) -> int:
        """The number of the first epoch with the lowest validation loss; 0 before the first."""
        if not self.history:
            return 0
        return min(self.history, key=lambda record: record.validation_loss).epoch

    def add(self, record: EpochRecord) -> bool:
        """Enter an epoch that is done; tell whether it is the best so far, and then copy it."""
        self.history.append(record)
        is_best = self.best_epoch == record.epoch
        if is_best:
            self.best_weights = {k: v.copy() for k, v in self.model.state_dict().items()}
        return is_best

    def use_best_weights(self) -> None:
        """Go back to the network after the best epoch, if there was one."""
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)

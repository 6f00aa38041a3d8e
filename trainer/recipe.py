"""How a network is trained: every hyper-parameter, and the sets of them that have a name."""

import math
from dataclasses import dataclass

from nncore import SGD, NesterovSGD, Optimizer
from trainer.augmentation import DEFAULT_STRENGTH, Strength
from trainer.errors import TrainerError

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one run.

    Attributes:
        hidden_sizes: The width of each hidden layer, first to last.
        learning_rate: The first step's, for the loss summed over a batch.
        momentum: Nesterov's, 0 to less than 1; 0 is plain SGD.
        schedule: "constant", or "cosine", which falls to nothing at the last step.
        batch_size: Images a step.
        epochs: Passes through the training images.
        augmentation: How far each epoch deforms the images anew; None leaves them as they are.
    """

    hidden_sizes: tuple[int, ...] = (512, 256)
    learning_rate: float = 8e-4
    momentum: float = 0.9
    schedule: str = "cosine"
    batch_size: int = 256
    epochs: int = 8
    augmentation: Strength | None = DEFAULT_STRENGTH

    def __post_init__(self) -> None:
        """Reject values that cannot train.

        Raises:
            TrainerError: A value is outside what it may be.
        """
        for name, minimum in (("batch_size", 1), ("epochs", 1)):
            if getattr(self, name) < minimum:
                raise TrainerError(f"expected {name} of 1 or more, got {getattr(self, name)}")
        if min(self.hidden_sizes, default=1) < 1:
            raise TrainerError(f"expected hidden sizes of 1 or more, got {self.hidden_sizes}")
        if not 0 < self.learning_rate < math.inf:
            raise TrainerError(f"expected a learning rate over 0, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise TrainerError(f"expected a momentum from 0 to less than 1, got {self.momentum}")

    def make_optimizer(self) -> Optimizer:
        """Make the optimizer, at the first step's learning rate."""
        if self.momentum == 0:
            return SGD(self.learning_rate)
        return NesterovSGD(self.learning_rate, self.momentum)

    def learning_rate_at(self, progress: float) -> float:
        """Give the learning rate when this share of the steps, 0 to 1, is done.

        The cosine is half a period, from 1 to 0. Source: Loshchilov and Hutter 2017, "SGDR:
        Stochastic Gradient Descent with Warm Restarts", equation 5, without restarts.
        """
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


DEFAULT_RECIPE = "default"
RECIPES = {
    DEFAULT_RECIPE: Recipe(),
    "notebook": Recipe(
        learning_rate=1e-3,
        momentum=0,
        schedule="constant",
        batch_size=64,
        epochs=10,
        augmentation=None,
    ),
}

"""How a network is trained: every hyper-parameter, and the sets of them that have a name."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from nncore import SGD, NesterovSGD, Optimizer
from trainer.errors import TrainerError

OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {
    "sgd": SGD,
    "nesterov": NesterovSGD,
}
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one run.

    Attributes:
        hidden_sizes: The width of each hidden layer, first to last.
        optimizer: "sgd", or "nesterov" for momentum.
        learning_rate: The first step's, for the loss summed over a batch.
        schedule: "constant", or "cosine", which falls to nothing at the last step.
        batch_size: Images a step.
        epochs: Passes through the training images.
        augmentation: Whether each epoch sees the images deformed anew.
    """

    hidden_sizes: tuple[int, ...] = (512, 256)
    optimizer: str = "nesterov"
    learning_rate: float = 8e-4
    schedule: str = "cosine"
    batch_size: int = 256
    epochs: int = 10
    augmentation: bool = True

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

    def make_optimizer(self) -> Optimizer:
        """Make the optimizer, at the first step's learning rate."""
        return OPTIMIZERS[self.optimizer](self.learning_rate)

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
        optimizer="sgd",
        learning_rate=1e-3,
        schedule="constant",
        batch_size=64,
        epochs=10,
        augmentation=False,
    ),
}

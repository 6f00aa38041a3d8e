"""Recipes: the hyper-parameters of training, and named sets of them."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import nncore
from nncore import SGD, Activation, NesterovSGD, Optimizer
from trainer.augmentation import DEFAULT_STRENGTH, Strength
from trainer.errors import TrainerError

SCHEDULES = ("constant", "cosine")
_LARGEST_COUNT = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a run.

    Attributes:
        hidden_sizes: The width of each hidden layer.
        learning_rate: The highest learning rate, for the loss summed over a batch.
        momentum: Nesterov momentum, 0 to less than 1; 0 is plain SGD.
        schedule: "constant", or "cosine", which decays to 0 at the last step.
        warmup: The share of the steps, 0 to less than 1, with a rising learning rate.
        batch_size: Images per step.
        epochs: The maximum number of epochs.
        patience: Early stopping after this many epochs without improvement; None for never.
        augmentation: The limits of data augmentation; None for none.
        activation: The node after each hidden layer, an `Activation` of `nncore`.
        temperature: Divides the logits of network and teachers, 0.1 to 100; without teachers it has
            no effect.
        teacher_weight: The weight of the teachers' probabilities in the loss, 0 to 1; the labels
            have the rest. Without teachers it has no effect.
    """

    hidden_sizes: tuple[int, ...] = (512, 256)
    learning_rate: float = 1e-3
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.0
    batch_size: int = 256
    epochs: int = 60
    patience: int | None = None
    augmentation: Strength | None = DEFAULT_STRENGTH
    activation: str = "ReLU"
    temperature: float = 3.0
    teacher_weight: float = 0.9

    def __post_init__(self) -> None:
        """Reject invalid values.

        Raises:
            TrainerError: A value is out of range.
        """
        for name in ("hidden_sizes", "batch_size", "epochs", "patience"):
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if not all(each is None or 1 <= each <= _LARGEST_COUNT for each in values):
                raise TrainerError(f"expected {name} from 1 to {_LARGEST_COUNT:,}, got {value}")
        if self.schedule not in SCHEDULES:
            raise TrainerError(f"expected schedule {' or '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.activation not in _activations():
            names = ", ".join(_activations())
            raise TrainerError(f"expected activation to be one of {names}, got {self.activation!r}")
        if not 0.1 <= self.temperature <= 100:
            raise TrainerError(f"expected a temperature from 0.1 to 100, got {self.temperature}")
        if not 0 <= self.teacher_weight <= 1:
            raise TrainerError(f"expected a teacher weight from 0 to 1, got {self.teacher_weight}")
        if not 0 < self.learning_rate <= sys.float_info.max:
            raise TrainerError(f"expected a learning rate over 0, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise TrainerError(f"expected a momentum from 0 to less than 1, got {self.momentum}")
        if not 0 <= self.warmup < 1:
            raise TrainerError(f"expected a warm-up from 0 to less than 1, got {self.warmup}")

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a recipe with other values.

        Args:
            values: Field name -> value. `augmentation` is False, or the changed fields of its
                `Strength`; of `DEFAULT_STRENGTH` if this recipe has no augmentation.

        Raises:
            TrainerError: A value is out of range.
        """
        changed = dict(values)
        strength = changed.get("augmentation")
        if strength is False:
            changed["augmentation"] = None
        elif strength is not None:
            changed["augmentation"] = replace(self.augmentation or DEFAULT_STRENGTH, **strength)
        return replace(self, **changed)

    def make_optimizer(self) -> Optimizer:
        """Return a new optimizer."""
        if self.momentum == 0:
            return SGD(self.learning_rate)
        return NesterovSGD(self.learning_rate, self.momentum)

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate after this share of the steps, 0 to 1.

        It rises linearly and then decays with half a period of a cosine. Sources: Goyal et al.
        2017, "Accurate, Large Minibatch SGD", section 2.2; Loshchilov and Hutter 2017, "SGDR:
        Stochastic Gradient Descent with Warm Restarts", equation 5, without restarts.
        """
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        decayed = (progress - self.warmup) / (1 - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * decayed))


def _activations() -> list[str]:
    """Return the names of the activations of `nncore`."""
    nodes = {name: getattr(nncore, name) for name in nncore.__all__}
    return [
        name
        for name, node in nodes.items()
        if isinstance(node, type) and issubclass(node, Activation) and node is not Activation
    ]


DEFAULT_RECIPE = "default"
RECIPES = {
    # Seconds; no augmentation.
    "quick": Recipe(learning_rate=1.5e-3, warmup=0.2, epochs=4, augmentation=None),
    # Under two minutes on two cores.
    DEFAULT_RECIPE: Recipe(warmup=0.1),
    # Under 45 minutes on two cores; still predicts an image in 100 microseconds.
    "best": Recipe(hidden_sizes=(1024, 512), learning_rate=5e-4, epochs=400),
    # Under 45 minutes on two cores; for a network that learns from teachers (--teacher).
    "distilled": Recipe(
        warmup=0.05, epochs=500, augmentation=replace(DEFAULT_STRENGTH, shift=2.5, noise=0.35)
    ),
    # The values of the notebook.
    "notebook": Recipe(
        learning_rate=1e-3,
        momentum=0.0,
        schedule="constant",
        batch_size=64,
        epochs=10,
        augmentation=None,
    ),
}

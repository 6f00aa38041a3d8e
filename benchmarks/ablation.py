"""`python -m benchmarks.ablation`: the effect of each part of the `default` recipe.

Each variant changes one thing, trains for fewer epochs, and is measured on validation images. What
`trainer` leaves out for lack of effect is here. It needs MNIST in DATA_DIR, and half an hour.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.machine import describe, load_real_mnist
from benchmarks.report import arguments, publish, table
from nncore import (
    Dataset,
    FCModel,
    Gradients,
    Node,
    Optimizer,
    SoftmaxCrossEntropy,
    scale_pixels,
    train_epoch,
)
from nncore.types import Array
from trainer.augmentation import DEFAULT_STRENGTH, Augmentation
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure
from trainer.memory import keep_freed_memory
from trainer.recipe import DEFAULT_RECIPE, RECIPES, Recipe

VALIDATION_IMAGES = 10_000


class AdamW:
    """AdamW. Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"."""

    def __init__(self, lr: float, weight_decay: float) -> None:
        self.lr = lr
        self._weight_decay = weight_decay
        self._moments: dict[Node, list[Array]] = {}
        self._steps = 0

    def state(self, node: Node) -> list[Array]:
        """Return both moments of each of the node's parameters."""
        if node not in self._moments:
            self._moments[node] = [np.zeros_like(p) for p in node.parameters for _ in range(2)]
        return self._moments[node]

    def step(self, grads: Gradients) -> None:
        """Update every parameter that has a gradient, in place."""
        self._steps += 1
        correction = (1 - 0.999**self._steps) ** 0.5 / (1 - 0.9**self._steps)
        for node, gradients in grads.items():
            weight = node.parameters[0]
            weight *= 1 - self.lr * self._weight_decay
            moments = self.state(node)
            for parameter, gradient, first, second in zip(
                node.parameters, gradients, moments[::2], moments[1::2], strict=True
            ):
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient * gradient - second)
                parameter -= self.lr * correction * first / (np.sqrt(second) + 1e-8)


class SmoothedCrossEntropy(SoftmaxCrossEntropy):
    """Cross-entropy against labels that spread a share of their mass evenly over all classes."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def encode(self, t: Array, x: Array) -> Array:
        """Smooth labels; arrays that are already encoded stay as they are."""
        encoded = super().encode(t, x)
        if t.ndim > 1:
            return encoded
        smoothed: Array = encoded * (1 - self._share) + self._share / len(encoded)
        return smoothed.astype(x.dtype)


@dataclass(frozen=True)
class Variant:
    """Values of the recipe to override, and its optimizer and its loss."""

    recipe: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Callable[[Recipe], Optimizer] = Recipe.make_optimizer
    loss: Callable[[], SoftmaxCrossEntropy] = SoftmaxCrossEntropy


def _augmented(**values: float) -> Variant:
    return Variant({"augmentation": replace(DEFAULT_STRENGTH, **values)})


def _adamw(weight_decay: float) -> Variant:
    return Variant(
        {"learning_rate": 1e-3}, lambda recipe: AdamW(recipe.learning_rate, weight_decay)
    )


_RATE = RECIPES[DEFAULT_RECIPE].learning_rate
VARIANTS = {
    "the default recipe": Variant(),
    "plain SGD": Variant({"momentum": 0.0, "learning_rate": 4e-3}),
    "momentum 0.95": Variant({"momentum": 0.95, "learning_rate": _RATE / 2}),
    "AdamW, 1e-3, decay 0.01": _adamw(0.01),
    "AdamW, 1e-3, decay 0.1": _adamw(0.1),
    "constant learning rate": Variant({"schedule": "constant"}),
    "no warm-up": Variant({"warmup": 0.0}),
    "half the learning rate": Variant({"learning_rate": _RATE / 2}),
    "twice the learning rate": Variant({"learning_rate": _RATE * 2}),
    "label smoothing 0.05": Variant(loss=lambda: SmoothedCrossEntropy(0.05)),
    "no augmentation": Variant({"augmentation": None}),
    "no elastic deformation": _augmented(elastic=0),
    "no change of thickness": _augmented(thickness=0),
    "no noise": _augmented(noise=0),
}


def main() -> None:
    """Publish the figures."""
    options = arguments(__doc__, epochs=20, seeds=2)
    keep_freed_memory()
    images, _ = load_real_mnist()
    rows = []
    for name, variant in VARIANTS.items():
        results = [_train(variant, images, seed, options.epochs) for seed in range(options.seeds)]
        accuracy, loss = (mean(result[key] for result in results) for key in ("accuracy", "loss"))
        rows.append((name, f"{accuracy:.2%}", f"{loss:.4f}"))
        print(*rows[-1], file=sys.stderr)
    publish(
        "ablation",
        f"Validation, {VALIDATION_IMAGES:,} images held back of the training images; "
        f"{options.epochs} epochs, mean of {options.seeds} seeds.",
        table(["variant", "accuracy", "loss, nats"], rows),
        describe(),
        write=options.write,
    )


def _train(variant: Variant, images: LabelledImages, seed: int, epochs: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    train, valid = images.split(VALIDATION_IMAGES, rng)
    recipe = replace(RECIPES[DEFAULT_RECIPE], **{**variant.recipe, "epochs": epochs})
    sizes, loss = recipe.hidden_sizes, variant.loss()
    model = FCModel((28, 28), sizes, 10, loss=loss, rng=rng, needs_input_grad=False)
    transform = (
        Augmentation((28, 28), rng, recipe.augmentation) if recipe.augmentation else scale_pixels
    )
    data = Dataset(train.images, train.labels, rng, transform)
    optimizer = variant.optimizer(recipe)
    images_done = 0

    def after_step(count: int, _loss: float) -> None:
        nonlocal images_done
        images_done += count
        optimizer.lr = recipe.learning_rate_at(images_done / (epochs * len(train)))

    for _ in range(epochs):
        train_epoch(model, data, optimizer, recipe.batch_size, after_step)
    return measure(answer_all(model.predict, valid), valid.labels)


if __name__ == "__main__":
    main()

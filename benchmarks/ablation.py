"""`python -m benchmarks.ablation`: the effect of each part of the `default` recipe.

Each variant changes one thing of the recipe, trains for fewer epochs, and is measured on validation
images. Techniques that `nncore` and `trainer` leave out for lack of effect are implemented here. It
needs MNIST's files in DATA_DIR, and takes half an hour.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.machine import describe
from benchmarks.mnist import load_real_mnist
from benchmarks.report import arguments, publish, table
from nncore import (
    Dataset,
    FCModel,
    Gradients,
    Node,
    Optimizer,
    ReLU,
    SoftmaxCrossEntropy,
    make_sequential,
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


class Adam:
    """Adam. Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization"."""

    def __init__(self, lr: float) -> None:
        self.lr = lr
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
            moments = self.state(node)
            for parameter, gradient, first, second in zip(
                node.parameters, gradients, moments[::2], moments[1::2], strict=True
            ):
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient * gradient - second)
                parameter -= self.lr * correction * first / (np.sqrt(second) + 1e-8)


class WithWeightDecay:
    """Wraps an optimizer: decoupled decay of the weights before each step, as in AdamW."""

    def __init__(self, optimizer: Optimizer, weight_decay: float) -> None:
        self._optimizer = optimizer
        self._weight_decay = weight_decay
        self.lr = optimizer.lr
        self.state = optimizer.state

    def step(self, grads: Gradients) -> None:
        """Update every parameter that has a gradient, in place."""
        self._optimizer.lr = self.lr
        for node in grads:
            weight = node.parameters[0]
            weight *= 1 - self.lr * self._weight_decay
        self._optimizer.step(grads)


class Dropout(Node):
    """Zeroes a share of the entries in training and scales up the others."""

    def __init__(self, share: float, rng: np.random.Generator) -> None:
        super().__init__()
        self._share = share
        self._rng = rng
        self._mask: Any = None

    def forward(self, x: Array, *_: Array) -> Array:
        """Drop random entries, and record which are kept."""
        self.x = x
        kept = self._rng.random(x.shape, np.float32) >= self._share
        self._mask = kept / np.float32(1 - self._share)
        dropped: Array = x * self._mask
        self.ans = dropped
        return dropped

    def apply(self, x: Array) -> Array:
        """Return the input: inference drops nothing."""
        return x

    def backwards(self, g: Any = 1) -> None:
        """Pass the gradient on where the input was kept."""
        self.input_grad = g * self._mask


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
    """A change of the recipe.

    Attributes:
        recipe: Values of the recipe to override.
        optimizer: Makes another optimizer from the recipe.
        dropout: The share that is dropped after each ReLU.
        smoothing: The share of label smoothing.
        average: The decay per step of an exponential moving average of the weights; 0 is none.
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Callable[[Recipe], Optimizer] = Recipe.make_optimizer
    dropout: float = 0
    smoothing: float = 0
    average: float = 0


def _augmented(**values: float) -> Variant:
    return Variant({"augmentation": replace(DEFAULT_STRENGTH, **values)})


def _adamw(weight_decay: float) -> Variant:
    return Variant(
        {"learning_rate": 1e-3},
        lambda recipe: WithWeightDecay(Adam(recipe.learning_rate), weight_decay),
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
    "weight decay 1": Variant(
        optimizer=lambda recipe: WithWeightDecay(recipe.make_optimizer(), 1.0)
    ),
    "dropout 0.1": Variant(dropout=0.1),
    "label smoothing 0.05": Variant(smoothing=0.05),
    "moving average 0.999": Variant(average=0.999),
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
    model = _model(variant, recipe, rng)
    transform = (
        Augmentation((28, 28), rng, recipe.augmentation) if recipe.augmentation else scale_pixels
    )
    data = Dataset(train.images, train.labels, rng, transform)
    optimizer = variant.optimizer(recipe)
    averages = [value.copy() for value in model.state_dict().values()]
    images_done = 0

    def after_step(count: int, _loss: float) -> None:
        nonlocal images_done
        images_done += count
        optimizer.lr = recipe.learning_rate_at(images_done / (epochs * len(train)))
        if variant.average:
            for average, value in zip(averages, model.state_dict().values(), strict=True):
                average += (1 - variant.average) * (value - average)

    for _ in range(epochs):
        train_epoch(model, data, optimizer, recipe.batch_size, after_step)
    if variant.average:
        model.load_state_dict(dict(zip(model.state_dict(), averages, strict=True)))
    return measure(answer_all(model.predict, valid), valid.labels)


def _model(variant: Variant, recipe: Recipe, rng: np.random.Generator) -> FCModel:
    loss = SmoothedCrossEntropy(variant.smoothing) if variant.smoothing else SoftmaxCrossEntropy()
    model = FCModel((28, 28), recipe.hidden_sizes, 10, loss=loss, rng=rng, needs_input_grad=False)
    if variant.dropout:
        layers: list[Node] = []
        for layer in model.layers:
            layers.append(layer)
            if isinstance(layer, ReLU):
                layers.append(Dropout(variant.dropout, rng))
        model.layers = layers
        model.topsorted = make_sequential([*layers, loss])
    return model


if __name__ == "__main__":
    main()

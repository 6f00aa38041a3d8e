"""Linear regression with `nncore`: recovers the coefficients of noisy samples.

`python -m examples.linear_regression [FILE]` prints the parameters after each epoch, and draws the
loss curve into FILE (linear-regression.png by default).
"""

import sys
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.random import randn

from nncore import MSE, SGD, Dataset, LinearLayer, back_propagate, make_sequential
from nncore.types import Array

SAMPLES = 2000
SLOPE = np.array([[3.0], [4.0], [2.0]])
INTERCEPT = 5
NOISE = 0.5
BATCH_SIZE = 64
LEARNING_RATE = 0.001
EPOCHS = 10
SEED = 42


@dataclass(frozen=True)
class Epoch:
    """The parameters after an epoch, and its losses.

    Attributes:
        weights: `(3,)`.
        intercept: The bias.
        losses: Half the summed squared error of each batch.
    """

    weights: Array
    intercept: float
    losses: list[float]


def train() -> list[Epoch]:
    """Generate the samples and fit the parameters; seeds numpy's global generator."""
    np.random.seed(SEED)
    x = randn(SAMPLES, 3)
    data = Dataset(x, x @ SLOPE + INTERCEPT + NOISE * randn(SAMPLES, 1))

    linear, mse = LinearLayer(3, 1, bias=True), MSE()
    nodes = make_sequential([linear, mse])
    optimizer = SGD(lr=LEARNING_RATE)

    history = []
    for _ in range(EPOCHS):
        losses = []
        for inputs, targets in data.batch_iterator(BATCH_SIZE):
            losses.append(float(mse(linear(inputs.T), targets.T)))
            optimizer.step(back_propagate(nodes))
        weight, bias = linear.parameters
        history.append(Epoch(weight[0].copy(), float(bias[0, 0]), losses))
    return history


def draw(history: list[Epoch]) -> Figure:
    """Return a figure of the loss of every step, on a logarithmic scale."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    losses = [loss for epoch in history for loss in epoch.losses]
    axes.plot(np.arange(len(losses)) * EPOCHS / len(losses), losses, linewidth=1)
    axes.set(
        xlabel="epoch",
        ylabel="loss of a batch",
        yscale="log",
        title=f"Linear regression, {SAMPLES} samples, batches of {BATCH_SIZE}",
    )
    axes.grid(alpha=0.3)
    return figure


def main() -> None:
    """Fit, print and draw."""
    path = sys.argv[1] if len(sys.argv) > 1 else "linear-regression.png"
    print(f"expected W={SLOPE[:, 0]}, b={INTERCEPT}")
    history = train()
    for number, epoch in enumerate(history, start=1):
        print(
            f"epoch {number}: W={epoch.weights}, b={epoch.intercept:.8f}, loss={epoch.losses[-1]}"
        )
    draw(history).savefig(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

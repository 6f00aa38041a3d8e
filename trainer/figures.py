"""The pictures of a report, each a matplotlib figure."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nncore import MAX_PIXEL, FCModel
from nncore.types import Array
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.measurement import reliability

_WORST_MISTAKES = 24
_MISTAKES_A_ROW = 8
_LARGEST_MATRIX_WITH_NUMBERS = 20
_MOST_EPOCHS_WITH_MARKERS = 40
_UNITS = 64
_UNITS_A_ROW = 16


def png(figure: Figure) -> bytes:
    """Render a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def draw_curves(history: Sequence[EpochRecord]) -> Figure:
    """Draw the losses, the validation accuracy and the learning rate over the epochs."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    loss_axes, accuracy_axes, rate_axes = figure.subplots(1, 3, width_ratios=[3, 3, 2])
    epochs = [record.epoch for record in history]
    marker = "." if len(history) <= _MOST_EPOCHS_WITH_MARKERS else None

    def plot(axes: Axes, values: list[float], color: str, label: str = "") -> None:
        axes.plot(epochs, values, color=color, label=label, marker=marker, linewidth=1.2)

    plot(loss_axes, [record.training_loss for record in history], "C0", "training")
    plot(loss_axes, [record.validation_loss for record in history], "C1", "validation")
    loss_axes.set(ylabel="loss, nats an image", yscale="log")
    loss_axes.legend()
    plot(accuracy_axes, [100 * record.validation_accuracy for record in history], "C1")
    accuracy_axes.set(ylabel="validation accuracy, %")
    plot(rate_axes, [record.learning_rate for record in history], "C2")
    rate_axes.set(ylabel="learning rate")
    rate_axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes in (loss_axes, accuracy_axes, rate_axes):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_confusion(matrix: Array, labels: Sequence[str]) -> Figure:
    """Draw the confusion matrix; only the mistakes are shaded, since the hits outshine them."""
    figure = Figure(figsize=(5.2, 5), layout="constrained")
    axes = figure.subplots()
    mistakes = matrix.astype(float)
    np.fill_diagonal(mistakes, 0)
    axes.imshow(mistakes, cmap="Oranges")
    axes.set(xlabel="read as", ylabel="shows")
    if len(labels) <= _LARGEST_MATRIX_WITH_NUMBERS:
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        for row, column in zip(*matrix.nonzero(), strict=True):
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8)
    return figure


def draw_mistakes(test: LabelledImages, probabilities: Array, labels: Sequence[str]) -> Figure:
    """Draw the misread images that the network was surest of, surest first."""
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != test.labels)
    worst = wrong[np.argsort(-confidences[wrong], kind="stable")][:_WORST_MISTAKES]

    rows = max(1, -(-len(worst) // _MISTAKES_A_ROW))
    figure = Figure(figsize=(_MISTAKES_A_ROW, 1.35 * rows), layout="constrained")
    all_axes = figure.subplots(rows, _MISTAKES_A_ROW, squeeze=False).ravel()
    for axes in all_axes:
        axes.set_axis_off()
    for axes, index in zip(all_axes, worst, strict=False):
        image = test.images[index]
        axes.imshow(image.reshape(image.shape[0], -1), cmap="gray_r", vmin=0, vmax=255)
        shown, read = labels[test.labels[index]], labels[predictions[index]]
        axes.set_title(f"{shown}, read {read}\n{confidences[index]:.1%}", fontsize=7)
    if not len(worst):
        figure.suptitle("no mistakes")
    return figure


def draw_reliability(test: LabelledImages, probabilities: Array) -> Figure:
    """Draw how many answers of each confidence were right, and how many there were."""
    counts, confidences, accuracies = reliability(
        probabilities.max(axis=1), probabilities.argmax(axis=1) == test.labels
    )
    filled = counts > 0
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    accuracy_axes, count_axes = figure.subplots(1, 2)
    accuracy_axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
    accuracy_axes.plot(confidences[filled], accuracies[filled], marker="o")
    accuracy_axes.set(xlabel="confidence", ylabel="share that was right")
    count_axes.bar((np.arange(len(counts)) + 0.5) / len(counts), counts, 0.9 / len(counts))
    count_axes.set(xlabel="confidence", ylabel="answers", yscale="log")
    for axes in (accuracy_axes, count_axes):
        axes.grid(alpha=0.3)
    return figure


def draw_first_layer(model: FCModel) -> Figure:
    """Draw the weights of the first layer's strongest units, the largest norm first.

    Args:
        model: A network of images with rows and columns.
    """
    weights = model.state_dict()["0.weight"]
    strongest = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:_UNITS]
    rows = -(-len(strongest) // _UNITS_A_ROW)
    figure = Figure(figsize=(9, 0.58 * rows), layout="constrained")
    all_axes = figure.subplots(rows, _UNITS_A_ROW, squeeze=False).ravel()
    limit = np.quantile(np.abs(weights[strongest]), 0.995)
    for axes in all_axes:
        axes.set_axis_off()
    for axes, unit in zip(all_axes, strongest, strict=False):
        image = weights[unit].reshape(model.input_shape)
        axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure


def draw_deformations(originals: Array, deformed: Sequence[Array]) -> Figure:
    """Draw images above copies of them as an epoch might see them.

    Args:
        originals: `(count, height, width)`, grey levels.
        deformed: Any number of sets of copies, each of the same shape, in [0, 1].
    """
    sets = [originals / MAX_PIXEL, *deformed]
    figure = Figure(figsize=(0.8 * len(originals), 0.85 * len(sets)), layout="constrained")
    grid = figure.subplots(len(sets), len(originals), squeeze=False)
    for row, images in zip(grid, sets, strict=True):
        for axes, image in zip(row, images, strict=True):
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_alpha(0.25)
    grid[0, 0].set_ylabel("original")
    if deformed:
        grid[1, 0].set_ylabel("deformed")
    return figure

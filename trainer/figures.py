"""The figures of a report."""

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from nncore import FCModel, scale_pixels
from nncore.types import Array
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages
from trainer.measurement import reliability

_DOTS_PER_INCH = 110
_WIDTH_INCHES = 8.5
_MAX_EPOCHS_WITH_MARKERS = 40
_MAX_CLASSES_WITH_NUMBERS = 20
_MAX_MISTAKES = 24
_MISTAKES_PER_ROW = 8
_MAX_UNITS = 64
_BORDER_INCHES = 0.05
# An odd number of colours has white in the middle; more of them only enlarge the file.
_WEIGHT_COLORS = colormaps["RdBu_r"].resampled(63)


def png(figure: Figure) -> bytes:
    """Render a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    return buffer.getvalue()


def draw_curves(history: Sequence[EpochRecord]) -> Figure:
    """Draw the losses, the validation accuracy and the learning rate over the epochs.

    Args:
        history: At least one epoch.
    """
    figure = Figure(figsize=(_WIDTH_INCHES, 3), layout="constrained")
    loss_axes, accuracy_axes, rate_axes = figure.subplots(1, 3, width_ratios=(4, 4, 3))
    epochs = [record.epoch for record in history]
    accuracies = [100 * record.validation_accuracy for record in history]
    is_long = len(history) > _MAX_EPOCHS_WITH_MARKERS
    marker = "" if is_long else "."

    def plot(axes: Axes, values: Sequence[float], color: str, label: str = "") -> None:
        axes.plot(epochs, values, color=color, label=label, marker=marker, linewidth=1.2)

    plot(loss_axes, [record.training_loss for record in history], "C0", "training")
    plot(loss_axes, [record.validation_loss for record in history], "C1", "validation")
    plot(accuracy_axes, accuracies, "C1")
    plot(rate_axes, [record.learning_rate for record in history], "C2")
    loss_axes.set(title="loss, nats per image", yscale="log")
    loss_axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss_axes.yaxis.set_minor_locator(NullLocator())
    loss_axes.legend(frameon=False)
    accuracy_axes.set(title="validation accuracy, %")
    if is_long:  # otherwise the first epochs take most of the scale
        accuracy_axes.set_ylim(bottom=np.quantile(accuracies, 0.03))
    rate_axes.set(title="learning rate")
    for axes in (loss_axes, accuracy_axes, rate_axes):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _tidy(axes)
    return figure


def draw_confusion(matrix: Array, labels: Sequence[str]) -> Figure:
    """Draw a confusion matrix; only the mistakes are shaded.

    Args:
        matrix: Counts of true class (row) and predicted class (column), `(classes, classes)`.
        labels: The name of each class.
    """
    figure = Figure(figsize=(5.2, 5), layout="constrained")
    axes = figure.subplots()
    mistakes = matrix.astype(float)
    np.fill_diagonal(mistakes, 0)
    axes.imshow(mistakes, cmap="Oranges")
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(labels) <= _MAX_CLASSES_WITH_NUMBERS:
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        for row, column in zip(*matrix.nonzero(), strict=True):
            color = "white" if mistakes[row, column] > 0.6 * mistakes.max() else "black"
            number = f"{matrix[row, column]}"
            axes.text(column, row, number, color=color, ha="center", va="center", fontsize=8)
    return figure


def draw_mistakes(test: LabelledImages, probabilities: Array, labels: Sequence[str]) -> Figure:
    """Draw the misclassified images with the highest confidence, highest first.

    Args:
        test: The test images, of any shape.
        probabilities: The model's output, `(images, classes)`.
        labels: The name of each class.
    """
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != test.labels)
    worst = wrong[np.argsort(-confidences[wrong], kind="stable")][:_MAX_MISTAKES]

    rows = max(1, -(-len(worst) // _MISTAKES_PER_ROW))
    figure = Figure(figsize=(_WIDTH_INCHES, 1.4 * rows), layout="constrained")
    all_axes = figure.subplots(rows, _MISTAKES_PER_ROW, squeeze=False).ravel()
    for axes in all_axes:
        axes.set_axis_off()
    for axes, index in zip(all_axes, worst, strict=False):
        image = test.images[index]
        axes.imshow(image.reshape(image.shape[0], -1), cmap="gray_r", vmin=0, vmax=255)
        label, predicted = labels[test.labels[index]], labels[predictions[index]]
        axes.set_title(f"{label}, predicted {predicted}\n{confidences[index]:.1%}", fontsize=8)
    if not len(worst):
        figure.suptitle("no mistakes")
    return figure


def draw_reliability(test: LabelledImages, probabilities: Array) -> Figure:
    """Draw accuracy over confidence, and the number of predictions of each confidence.

    Args:
        test: The test images.
        probabilities: The model's output, `(images, classes)`.
    """
    counts, confidences, accuracies = reliability(
        probabilities.max(axis=1), probabilities.argmax(axis=1) == test.labels
    )
    filled = counts > 0
    figure = Figure(figsize=(_WIDTH_INCHES, 3.2), layout="constrained")
    accuracy_axes, count_axes = figure.subplots(1, 2)
    accuracy_axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
    accuracy_axes.plot(confidences[filled], accuracies[filled], marker="o")
    accuracy_axes.set(xlabel="confidence", ylabel="accuracy")
    count_axes.bar((np.arange(len(counts)) + 0.5) / len(counts), counts, 0.9 / len(counts))
    count_axes.set(xlabel="confidence", ylabel="predictions", yscale="log")
    for axes in (accuracy_axes, count_axes):
        _tidy(axes)
    return figure


def draw_first_layer(model: FCModel) -> Figure:
    """Draw the weights of up to 64 units of the first layer as images, the largest norm first.

    All share one colour scale: red is positive, white 0, blue negative.

    Args:
        model: A network for images `(height, width)`.

    Raises:
        ValueError: Its input does not have two dimensions.
    """
    height, width = model.input_shape
    weights = model.state_dict()["0.weight"]
    strongest = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:_MAX_UNITS]
    tiles = weights[strongest].reshape(-1, height, width)
    columns = round(math.sqrt(len(tiles) * height / width))  # nearly square
    limit = float(np.abs(tiles).max())
    figure, axes = _draw_mosaic(
        tiles, min(max(1, columns), len(tiles)), _WEIGHT_COLORS, (-limit, limit), below=0.7
    )
    figure_height = figure.get_figheight()
    scale_axes = figure.add_axes((0.25, 0.42 / figure_height, 0.5, 0.12 / figure_height))
    figure.colorbar(
        axes.images[0],
        cax=scale_axes,
        orientation="horizontal",
        label="weight",
        ticks=[-limit, 0, limit],
        format="%.2g",
    )
    return figure


def draw_deformations(originals: Array, deformed: Sequence[Array]) -> Figure:
    """Draw images in a row, and the deformed copies of each below it.

    Args:
        originals: Grey levels, `(count, height, width)` uint8.
        deformed: Copies of all of them, each `(count, height, width)` in [0, 1].

    Raises:
        ValueError: The copies and the originals differ in shape.
    """
    count, height, width = originals.shape
    tiles = np.stack([scale_pixels(originals), *deformed]).reshape(-1, height, width)
    figure, axes = _draw_mosaic(tiles, count, colormaps["gray_r"], (0, 1), left=1.1)
    gap = _gap(height)
    row = height + gap
    axes.axhline(row - (gap + 1) / 2, color="0.7", linewidth=1)
    middles = np.array([0.5, 1 + len(deformed) / 2]) * row - (gap + 1) / 2
    axes.set_yticks(middles, ["original", "as trained on"])
    return figure


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_mosaic(
    tiles: Array,
    columns: int,
    cmap: Colormap,
    limits: tuple[float, float],
    left: float = _BORDER_INCHES,
    below: float = _BORDER_INCHES,
) -> tuple[Figure, Axes]:
    """Draw tiles as one image.

    Args:
        tiles: `(count, height, width)`.
        columns: Tiles per row.
        cmap: The colours.
        limits: The values of the first and the last colour.
        left: The left margin in inches.
        below: The bottom margin in inches.
    """
    mosaic = _mosaic(tiles, columns)
    scale = _DOTS_PER_INCH * min(1 / math.sqrt(tiles[0].size), _WIDTH_INCHES / max(mosaic.shape))
    scale = max(math.floor(scale), min(scale, 1))  # an integer if possible, for square pixels
    height, width = (scale * size / _DOTS_PER_INCH for size in mosaic.shape)
    size = left + width + _BORDER_INCHES, below + height + _BORDER_INCHES
    figure = Figure(figsize=size)
    axes = figure.add_axes((left / size[0], below / size[1], width / size[0], height / size[1]))
    axes.imshow(
        mosaic,
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        interpolation="nearest",
    )
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure, axes


def _mosaic(tiles: Array, columns: int) -> Array:
    """Arrange tiles row by row, with NaN between them and in empty places."""
    count, height, width = tiles.shape
    gap = _gap(height)
    rows = -(-count // columns)
    framed = np.full((rows * columns, height + gap, width + gap), np.nan)
    framed[:count, :height, :width] = tiles
    grid = framed.reshape(rows, columns, height + gap, width + gap).swapaxes(1, 2)
    return grid.reshape(rows * (height + gap), columns * (width + gap))[:-gap, :-gap]


def _gap(height: int) -> int:
    """Return the number of pixels between tiles of this height."""
    return 1 + height // 14

"""What a person looks at before trusting a version: a model card and four pictures."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nncore import EpochResult
from nncore.types import Array
from trainer.calibration import reliability
from trainer.labelled_images import LabelledImages

_WORST_MISTAKES = 24
_MISTAKES_A_ROW = 8
_LARGEST_MATRIX_WITH_NUMBERS = 20


def make_report(
    title: str,
    probabilities: Array,
    history: Sequence[EpochResult],
    test: LabelledImages,
    labels: Sequence[str],
    provenance: Mapping[str, Any],
) -> dict[str, bytes]:
    """Describe a trained network by how it learned and where it errs.

    Args:
        title: The model's name.
        probabilities: Its answers to the test images, `(images, classes)`.
        history: One entry an epoch.
        test: The images that the mistakes are looked for in.
        labels: The name of each class.
        provenance: What `model.json` will say: metrics, data set, recipe.

    Returns:
        File name -> content.
    """
    confusion = confusion_matrix(test.labels, probabilities.argmax(axis=1), len(labels))
    return {
        "README.md": _model_card(title, confusion, labels, provenance).encode(),
        "curves.png": _png(draw_curves(history)),
        "confusion.png": _png(draw_confusion(confusion, labels)),
        "mistakes.png": _png(draw_mistakes(test, probabilities, labels)),
        "reliability.png": _png(draw_reliability(test, probabilities)),
    }


def confusion_matrix(targets: Array, predictions: Array, classes: int) -> Array:
    """Count how often each class (row) was read as each class (column)."""
    counts = np.bincount(targets * classes + predictions, minlength=classes * classes)
    matrix: Array = counts.reshape(classes, classes)
    return matrix


def draw_curves(history: Sequence[EpochResult]) -> Figure:
    """Draw the losses and the validation accuracy over the epochs."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    epochs = range(1, len(history) + 1)
    loss_axes.plot(epochs, [epoch.training_loss for epoch in history], label="training", marker=".")
    loss_axes.plot(
        epochs, [epoch.validation.loss for epoch in history], label="validation", marker="."
    )
    loss_axes.set(xlabel="epoch", ylabel="loss, nats an image", yscale="log")
    loss_axes.legend()
    accuracy_axes.plot(
        epochs, [100 * epoch.validation.accuracy for epoch in history], color="C1", marker="."
    )
    accuracy_axes.set(xlabel="epoch", ylabel="validation accuracy, %")
    for axes in (loss_axes, accuracy_axes):
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


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def _model_card(
    title: str, confusion: Array, labels: Sequence[str], provenance: Mapping[str, Any]
) -> str:
    dataset, recipe = provenance["dataset"], provenance["recipe"]
    sections = [
        f"# {title}",
        f"A fully connected network trained on {dataset['name']}; numbers as of its publication.",
        _table(
            ("split", "images", "accuracy", "loss", "calibration error"),
            [
                (
                    split,
                    f"{m['images']:,}",
                    f"{m['accuracy']:.2%}",
                    f"{m['loss']:.4f}",
                    f"{m['calibration_error']:.2%}",
                )
                for split, m in provenance["metrics"].items()
            ],
        ),
        "The test images took no part in any choice.",
        "![The curves](curves.png)",
        "## By class",
        _table(
            ("class", "test images", "found", "right when said"),
            [
                (
                    label,
                    f"{confusion[k].sum():,}",
                    _share(confusion[k, k], confusion[k].sum()),
                    _share(confusion[k, k], confusion[:, k].sum()),
                )
                for k, label in enumerate(labels)
            ],
        ),
        "![What is taken for what](confusion.png)",
        "The mistakes it was surest of:",
        "![The worst mistakes](mistakes.png)",
        "## How far its probabilities can be trusted",
        "![Confidence against the share that was right](reliability.png)",
        "## Recipe",
        _table(("setting", "value"), [(name, _readable(value)) for name, value in recipe.items()]),
        "## Data",
        _table(("file", "SHA-256"), list(dataset["digests"].items())),
        "## Limits",
        "It answers for every image, also for one that shows none of its classes. It expects what "
        "it was trained on: light ink on dark, centred and scaled as in the training images.",
    ]
    return "\n\n".join(sections) + "\n"


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The report of a version: a model card and its figures."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nncore import FCModel
from nncore.types import Array
from trainer.augmentation import applies_to
from trainer.figures import (
    draw_confusion,
    draw_curves,
    draw_first_layer,
    draw_mistakes,
    draw_reliability,
    png,
)
from trainer.history import EpochRecord
from trainer.labelled_images import LabelledImages

_MAX_CLASSES_NAMED = 20

_MISTAKES = [
    "The misclassified test images with the highest confidence: true class, predicted class and "
    "confidence.",
    "![Misclassified images](mistakes.png)",
]
_FIRST_LAYER = [
    "Each tile shows the weights of one unit, the units of the largest norm first, on one colour "
    "scale: red is positive, blue negative.",
    "![Weights of the first layer](first_layer.png)",
]
_DEFORMATIONS = [
    "Every epoch deforms the training images at random. The first row shows originals, the rows "
    "below deformed copies.",
    "![Originals and deformed copies](deformations.png)",
]


def make_report(
    title: str,
    model: FCModel,
    probabilities: Array,
    test: LabelledImages,
    labels: Sequence[str],
    provenance: Mapping[str, Any],
    *,
    history: Sequence[EpochRecord] = (),
    deformations: Figure | None = None,
) -> dict[str, bytes]:
    """Write the report of a network; files and sections without content are left out.

    Args:
        title: The heading of the card.
        model: The network.
        probabilities: Its output for the test images, `(images, classes)`.
        test: The images that it is measured on.
        labels: The name of each class.
        provenance: As in `model.json`: "metrics" and "dataset", optionally "recipe", "training" and
            "calibration". Without metrics of a "validation" split the report is one of a later
            measurement, not of training.
        history: One record per epoch.
        deformations: The figure of `draw_deformations`.

    Returns:
        File name -> content; the card is `README.md`, the history `metrics.jsonl`.

    Raises:
        ValueError: A number of the history is not finite, which JSON does not support.
    """
    confusion = confusion_matrix(test.labels, probabilities.argmax(axis=1), len(labels))
    figures = {
        "curves.png": draw_curves(history) if history else None,
        "confusion.png": draw_confusion(confusion, labels),
        "mistakes.png": draw_mistakes(test, probabilities, labels),
        "reliability.png": draw_reliability(test, probabilities),
        "first_layer.png": draw_first_layer(model) if applies_to(model.input_shape) else None,
        "deformations.png": deformations,
    }
    files = {name: png(figure) for name, figure in figures.items() if figure is not None}
    if history:
        files["metrics.jsonl"] = "".join(record.to_json_line() for record in history).encode()
    files["README.md"] = _model_card(title, model, confusion, labels, provenance, files).encode()
    return files


def confusion_matrix(targets: Array, predictions: Array, classes: int) -> Array:
    """Return the counts of true class (row) and predicted class (column)."""
    counts = np.bincount(targets * classes + predictions, minlength=classes * classes)
    matrix: Array = counts.reshape(classes, classes)
    return matrix


def _model_card(
    title: str,
    model: FCModel,
    confusion: Array,
    labels: Sequence[str],
    provenance: Mapping[str, Any],
    files: Container[str],
) -> str:
    """Return the card, without the sections that have no paragraphs."""
    sections = {
        "Purpose": _purpose(model, labels, provenance),
        "Metrics": _metrics(provenance["metrics"]),
        "Training curves": _curves(provenance, files) if "curves.png" in files else [],
        "Metrics by class": _classes(confusion, labels),
        "Mistakes": _MISTAKES,
        "Calibration": _reliability(provenance),
        "First layer": _FIRST_LAYER if "first_layer.png" in files else [],
        "Augmentation": _DEFORMATIONS if "deformations.png" in files else [],
        "Recipe": _recipe(provenance),
        "Data set": _data(provenance["dataset"]),
        "Limitations": _limits(provenance),
    }
    paragraphs = [f"# {title}"]
    for heading, section in sections.items():
        if section:
            paragraphs += [f"## {heading}", *section]
    return "\n\n".join(paragraphs) + "\n"


def _purpose(model: FCModel, labels: Sequence[str], provenance: Mapping[str, Any]) -> list[str]:
    size = " by ".join(map(str, model.input_shape))
    layers = "-".join(map(str, model.layer_sizes))
    parameters = sum(value.size for value in model.state_dict().values())
    is_of_training = "validation" in provenance["metrics"]
    relation = "trained on" if is_of_training else "measured on"
    return [
        f"A classifier of images of {size} pixels into {len(labels)} classes: "
        f"{_classes_named(labels)}. A fully connected network, {layers}, with {parameters:,} "
        f"parameters, {relation} {provenance['dataset']['name']}.",
        "It is intended for images with the same preprocessing as its training images.",
        "`model.safetensors` also loads into a `torch.nn.Sequential` of the same layers, linear "
        "with ReLU between, which takes pixels / 255 and returns logits.",
    ]


def _classes_named(labels: Sequence[str]) -> str:
    if len(labels) <= _MAX_CLASSES_NAMED:
        return ", ".join(labels)
    return f"{', '.join(labels[:3])}, … {labels[-1]}"


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            split,
            f"{m['images']:,}",
            f"{m['accuracy']:.2%}",
            f"{m['loss']:.4f}",
            f"{m['calibration_error']:.2%}",
        )
        for split, m in metrics.items()
    ]
    paragraphs = [
        _table(("split", "images", "accuracy", "loss", "calibration error"), rows),
        "The loss is the mean per image, in nats. The calibration error is the mean difference "
        "between confidence and accuracy.",
    ]
    if {"validation", "test"} <= metrics.keys():
        paragraphs.append("No choice depends on the test images.")
    return paragraphs


def _curves(provenance: Mapping[str, Any], files: Container[str]) -> list[str]:
    sentences = ["`metrics.jsonl` contains the numbers, one line per epoch."]
    if "deformations.png" in files:
        sentences.append(
            "The training loss is that of deformed images, the validation loss that of originals."
        )
    if provenance.get("calibration"):
        sentences.append("The losses are those before calibration.")
    return [
        "![Losses, validation accuracy and learning rate over the epochs](curves.png)",
        " ".join(sentences),
    ]


def _classes(confusion: Array, labels: Sequence[str]) -> list[str]:
    rows = [
        (
            label,
            f"{confusion[k].sum():,}",
            _share(confusion[k, k], confusion[k].sum()),
            _share(confusion[k, k], confusion[:, k].sum()),
        )
        for k, label in enumerate(labels)
    ]
    return [
        _table(("class", "test images", "recall", "precision"), rows),
        "![Confusion matrix](confusion.png)",
    ]


def _reliability(provenance: Mapping[str, Any]) -> list[str]:
    paragraphs = ["![Accuracy over confidence](reliability.png)"]
    if calibration := provenance.get("calibration"):
        paragraphs.append(
            f"The logits are divided by {calibration['temperature']:.3f}, the temperature that "
            "minimizes the validation loss. The weights of the last layer include this division."
        )
    return paragraphs


def _recipe(provenance: Mapping[str, Any]) -> list[str]:
    paragraphs = []
    if recipe := provenance.get("recipe"):
        rows = [(name, _readable(value)) for name, value in recipe.items()]
        paragraphs.append(_table(("setting", "value"), rows))
    if training := provenance.get("training"):
        epochs = f", {training['epochs']:,} epochs" if "epochs" in training else ""
        paragraphs.append(
            f"Training took {training['seconds']:,.0f} s: {training['images']:,} images{epochs}."
        )
        if "best_epoch" in training:
            paragraphs[-1] += f" Epoch {training['best_epoch']} has the lowest validation loss."
    return paragraphs


def _data(dataset: Mapping[str, Any]) -> list[str]:
    paragraphs = [f"The data set is {dataset['name']}."]
    if rows := list(dataset["digests"].items()):
        paragraphs.append(_table(("file", "SHA-256, or generator"), rows))
    return paragraphs


def _limits(provenance: Mapping[str, Any]) -> list[str]:
    return [
        "It returns a class for every image, even if the image shows none of the classes.",
        f"The numbers above are those of {provenance['dataset']['name']}. On images with another "
        "position, size or contrast the accuracy may be lower at the same confidence.",
    ]


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(item)}" for name, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_readable, value)) or "none"
    return "none" if value is None else str(value)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(map(_table_line, [head, ["---"] * len(head), *rows]))


def _table_line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"

"""What a person looks at before trusting a version: a model card and its pictures."""

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

_MOST_CLASSES_NAMED = 20


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
    """Describe a network by what it is for, how it learned and where it errs.

    What there is nothing to say of is left out: a file, and its section of the card.

    Args:
        title: The heading of the card.
        model: The network.
        probabilities: Its answers to the test images, `(images, classes)`.
        test: The images that it is measured on.
        labels: The name of each class.
        provenance: As in `model.json`: "metrics" and "dataset", perhaps "recipe", "training" and
            "calibration". Without metrics of a "validation" split the data set is taken to be one
            that a finished network is measured on, else the one that it was trained on.
        history: One entry an epoch.
        deformations: What it was trained on, by `draw_deformations`.

    Returns:
        File name -> content: the card is `README.md`, the history `metrics.jsonl`.

    Raises:
        ValueError: A number of the history is not finite, which JSON cannot express.
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
    """Count how often each class (row) was read as each class (column)."""
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
    """Write the card: a section for every heading below that has paragraphs."""
    sections = {
        "What it is for": _purpose(model, labels, provenance),
        "How well it does": _metrics(provenance["metrics"]),
        "How it learned": _curves(provenance, files) if "curves.png" in files else [],
        "By class": _classes(confusion, labels),
        "The worst mistakes": _mistakes(),
        "How far its probabilities can be trusted": _reliability(provenance),
        "What the first layer looks for": _first_layer() if "first_layer.png" in files else [],
        "What it was trained on": _deformations() if "deformations.png" in files else [],
        "Recipe": _recipe(provenance),
        "Data": _data(provenance["dataset"]),
        "Limits": _limits(provenance),
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
    relation = "trained on" if _is_of_training(provenance) else "measured here on"
    return [
        f"It tells which of {len(labels)} classes an image of {size} pixels shows: "
        f"{_classes_named(labels)}. A fully connected network, {layers}, of {parameters:,} "
        f"parameters, {relation} {provenance['dataset']['name']}.",
        "It is meant for images that are made and prepared as its training images were.",
        "The project's service serves a version as it is. `model.safetensors` also loads into the "
        "`torch.nn.Sequential` of the same layers, linear with ReLU between; that takes pixels "
        "/ 255 and gives logits.",
    ]


def _classes_named(labels: Sequence[str]) -> str:
    if len(labels) <= _MOST_CLASSES_NAMED:
        return ", ".join(labels)
    return f"{', '.join(labels[:3])}, … {labels[-1]}"


def _is_of_training(provenance: Mapping[str, Any]) -> bool:
    """Tell a report of training from one of a measurement afterwards."""
    return "validation" in provenance["metrics"]


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
        "The loss is in nats an image. The calibration error is how far, on average, confidence "
        "lies from the share of answers that are right.",
    ]
    if {"validation", "test"} <= metrics.keys():
        paragraphs.append("The test images took no part in any choice.")
    return paragraphs


def _curves(provenance: Mapping[str, Any], files: Container[str]) -> list[str]:
    sentences = ["The numbers are in `metrics.jsonl`, a line an epoch."]
    if "deformations.png" in files:
        sentences.append(
            "The training loss is of deformed images, the validation loss of images as they are."
        )
    if provenance.get("calibration"):
        sentences.append("The losses are from before calibration.")
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
        _table(("class", "test images", "found", "right when said"), rows),
        "![What is taken for what](confusion.png)",
    ]


def _mistakes() -> list[str]:
    return [
        "Of the test images that it misread, those that it was surest of: what each shows, what "
        "it was read as, and with what probability.",
        "![The worst mistakes](mistakes.png)",
    ]


def _reliability(provenance: Mapping[str, Any]) -> list[str]:
    paragraphs = ["![Confidence against the share that was right](reliability.png)"]
    if calibration := provenance.get("calibration"):
        paragraphs.append(
            f"The logits are divided by {calibration['temperature']:.3f}, the temperature at which "
            "the loss on the validation images is least. The last layer's weights contain that."
        )
    return paragraphs


def _first_layer() -> list[str]:
    return [
        "Each picture is the weights of one unit, the largest first, all on one scale: ink on red "
        "raises the unit, ink on blue lowers it.",
        "![Weights as pictures](first_layer.png)",
    ]


def _deformations() -> list[str]:
    return [
        "Every epoch deforms each image anew. Below each original are copies as an epoch might "
        "see them.",
        "![Originals and deformed copies](deformations.png)",
    ]


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
    return paragraphs


def _data(dataset: Mapping[str, Any]) -> list[str]:
    paragraphs = [f"The data set is {dataset['name']}."]
    if rows := list(dataset["digests"].items()):
        paragraphs.append(_table(("origin", "SHA-256, or how it was made"), rows))
    return paragraphs


def _limits(provenance: Mapping[str, Any]) -> list[str]:
    return [
        "It answers for every image, also for one that shows none of its classes.",
        f"The numbers above are of {provenance['dataset']['name']}. On images that are centred, "
        "scaled or lit otherwise it may be wrong more often and no less sure.",
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

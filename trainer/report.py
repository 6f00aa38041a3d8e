"""What a person looks at before trusting a version: a model card and its pictures."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nncore import FCModel
from nncore.types import Array
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
    """Describe a trained network by what it is for, how it learned and where it errs.

    Args:
        title: What the card is headed by.
        model: The network.
        probabilities: Its answers to the test images, `(images, classes)`.
        test: The images that it is measured on.
        labels: The name of each class.
        provenance: What `model.json` says: metrics and data set, and perhaps recipe and training.
        history: One entry an epoch; without any, nothing is said of learning.
        deformations: A picture of what it was trained on; None where images were left as they are.

    Returns:
        File name -> content.
    """
    confusion = confusion_matrix(test.labels, probabilities.argmax(axis=1), len(labels))
    pictures = {
        "confusion.png": draw_confusion(confusion, labels),
        "mistakes.png": draw_mistakes(test, probabilities, labels),
        "reliability.png": draw_reliability(test, probabilities),
    }
    if history:
        pictures["curves.png"] = draw_curves(history)
    if deformations:
        pictures["deformations.png"] = deformations
    if len(model.input_shape) == 2:
        pictures["first_layer.png"] = draw_first_layer(model)
    files = {name: png(figure) for name, figure in pictures.items()}
    if history:
        lines = (json.dumps(asdict(record)) + "\n" for record in history)
        files["metrics.jsonl"] = "".join(lines).encode()
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
    def picture(name: str, caption: str, heading: str = "") -> list[str]:
        return [*([heading] if heading else []), f"![{caption}]({name})"] if name in files else []

    sections = [
        f"# {title}",
        *_purpose(model, labels, provenance),
        *_metrics(provenance["metrics"]),
        *picture("curves.png", "The curves", "## How it learned"),
        *_classes(confusion, labels),
        *picture("confusion.png", "What is taken for what"),
        "The mistakes it was surest of:",
        *picture("mistakes.png", "The worst mistakes"),
        *picture(
            "reliability.png",
            "Confidence against the share that was right",
            "## How far its probabilities can be trusted",
        ),
        *picture("first_layer.png", "Weights as images", "## What the first layer looks for"),
        *picture("deformations.png", "Originals and deformed copies", "## What it was trained on"),
        *_settings(provenance),
        "## Data",
        _table(("file", "SHA-256"), list(provenance["dataset"]["digests"].items())),
        "## Limits",
        "It answers for every image, also for one that shows none of its classes. It expects what "
        "it was trained on: light ink on dark, centred and scaled as in the training images.",
    ]
    return "\n\n".join(sections) + "\n"


def _purpose(model: FCModel, labels: Sequence[str], provenance: Mapping[str, Any]) -> list[str]:
    shape = " x ".join(map(str, model.input_shape))
    layers = "-".join(map(str, model.layer_sizes))
    weights = sum(value.size for value in model.state_dict().values())
    trained_on = provenance["dataset"]["name"]
    return [
        f"It tells images of {trained_on} apart: {shape} pixels in, a probability for each of "
        f"{len(labels)} classes out. A fully connected network, {layers}, {weights:,} weights.",
        "`model.safetensors` loads into this project's service, and into a `torch.nn.Sequential` "
        "with the same layers; its input is grey levels / 255.",
    ]


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    table = _table(
        ("split", "images", "accuracy", "loss, nats", "calibration error"),
        [
            (
                split,
                f"{m['images']:,}",
                f"{m['accuracy']:.2%}",
                f"{m['loss']:.4f}",
                f"{m['calibration_error']:.2%}",
            )
            for split, m in metrics.items()
        ],
    )
    if "validation" not in metrics:
        return [table]
    return [
        table,
        "The validation images chose the temperature and, where it stopped early, the epoch. The "
        "test images took no part in any choice.",
    ]


def _classes(confusion: Array, labels: Sequence[str]) -> list[str]:
    return [
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
    ]


def _settings(provenance: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, _readable(value))
        for member in ("recipe", "training", "calibration")
        for name, value in provenance.get(member, {}).items()
    ]
    return ["## Recipe", _table(("setting", "value"), rows)] if rows else []


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

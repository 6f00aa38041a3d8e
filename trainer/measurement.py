"""Metrics of a network on a data set."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nncore import NLLLoss, get_accuracy
from nncore.types import Array
from trainer.labelled_images import LabelledImages

BINS = 15
_BATCH = 256


def answer_all(answer: Callable[[Array], Array], data: LabelledImages) -> Array:
    """Return the output of `model.predict` or `model.apply` for all images, `(classes, images)`."""
    batches = data.as_dataset().batch_iterator(_BATCH, shuffle=False)
    return np.concatenate([answer(images) for images, _ in batches], axis=1)


def measure(probabilities: Array, labels: Array) -> dict[str, Any]:
    """Compare probabilities, `(classes, images)`, with labels, `(images,)`.

    Returns:
        The metrics in `model.json`: the number of images, the accuracy, the mean loss in nats and
        the expected calibration error.
    """
    correct, total = get_accuracy(probabilities, labels)
    return {
        "images": total,
        "accuracy": correct / total,
        "loss": float(NLLLoss().apply(probabilities, labels)) / total,
        "calibration_error": expected_calibration_error(
            probabilities.max(axis=0), probabilities.argmax(axis=0) == labels
        ),
    }


def described(metrics: dict[str, Any]) -> str:
    """Return metrics as text."""
    right = round(metrics["accuracy"] * metrics["images"])
    return (
        f"{metrics['accuracy']:.2%} ({right:,} of {metrics['images']:,}), "
        f"loss {metrics['loss']:.4f}, calibration error {metrics['calibration_error']:.2%}"
    )


def reliability(confidences: Array, hits: Array) -> tuple[Array, Array, Array]:
    """Group predictions into bins of equal width by confidence.

    Args:
        confidences: The highest probability of each prediction, `(images,)`.
        hits: Whether each prediction is correct, `(images,)`.

    Returns:
        The number of predictions in each bin, their mean confidence and their accuracy; the last
        two are 0 for an empty bin.
    """
    bins = np.minimum((confidences * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = np.maximum(counts, 1)
    return (
        counts,
        np.bincount(bins, confidences, BINS) / filled,
        np.bincount(bins, hits, BINS) / filled,
    )


def expected_calibration_error(confidences: Array, hits: Array) -> float:
    """Return the mean difference between confidence and accuracy of the bins.

    Source: Guo et al. 2017, equation 3, with 15 bins.
    """
    counts, confidence, accuracy = reliability(confidences, hits)
    return float(np.sum(counts * np.abs(confidence - accuracy)) / np.sum(counts))

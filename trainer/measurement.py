"""How well a network does on images that it has not learnt from."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nncore import NLLLoss, get_accuracy
from nncore.types import Array
from trainer.labelled_images import LabelledImages

BINS = 15
_BATCH = 256


def answer_all(answer: Callable[[Array], Array], data: LabelledImages) -> Array:
    """Answer all images batch by batch, by `model.predict` or `model.apply`.

    Returns:
        `(classes, images)`.
    """
    batches = data.as_dataset().batch_iterator(_BATCH, shuffle=False)
    return np.concatenate([answer(images) for images, _ in batches], axis=1)


def measure(probabilities: Array, labels: Array) -> dict[str, Any]:
    """Compare answers, `(classes, images)`, with labels, `(images,)`.

    Returns:
        What `model.json` says of a split: the number of images, the share read right, the mean
        loss in nats, and the expected calibration error.
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
    """Say metrics in a line."""
    right = round(metrics["accuracy"] * metrics["images"])
    return (
        f"{metrics['accuracy']:.2%} ({right:,} of {metrics['images']:,}), "
        f"loss {metrics['loss']:.4f}, calibration error {metrics['calibration_error']:.2%}"
    )


def reliability(confidences: Array, hits: Array) -> tuple[Array, Array, Array]:
    """Sort answers into bins of equal width by how sure they were.

    Args:
        confidences: The highest probability of each answer, `(images,)`.
        hits: Whether each answer was right, `(images,)`.

    Returns:
        For each bin the number of answers, their mean confidence, and the share that was right;
        the last two are 0 where a bin is empty.
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
    """Average over the answers how far their bin's confidence is from its share of hits.

    Source: Guo et al. 2017, equation 3, with 15 bins.
    """
    counts, confidence, accuracy = reliability(confidences, hits)
    return float(np.sum(counts * np.abs(confidence - accuracy)) / np.sum(counts))

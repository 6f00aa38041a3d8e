"""Probabilities to the body of an answer."""

from collections.abc import Sequence

import numpy as np
import orjson

from nncore.types import Array


def class_labels(labels: Sequence[str]) -> list[int | str]:
    """Give the labels as answers show them: numbers where they are the classes' own numbers."""
    numbers = range(len(labels))
    return list(numbers) if list(labels) == list(map(str, numbers)) else list(labels)


def encode_predictions(
    name: str, version: int, labels: Sequence[int | str], probabilities: Array
) -> bytes:
    """Write the answer to a request.

    Args:
        name: The model that gave the answer.
        version: Its version.
        labels: One a class.
        probabilities: float32 `(batch, classes)`.

    Returns:
        JSON; a number has the fewest digits that give the same float32 again.
    """
    rows = np.ascontiguousarray(probabilities)
    predictions = [
        {"label": labels[winner], "confidence": row[winner], "probabilities": row}
        for row, winner in zip(rows, rows.argmax(axis=1).tolist(), strict=True)
    ]
    return orjson.dumps(
        {"model": name, "version": version, "predictions": predictions},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )

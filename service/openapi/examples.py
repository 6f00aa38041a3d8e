"""The example image of the document, and the example requests as bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL import Image

from nncore import MAX_PIXEL
from nncore.types import Array

_DIGIT = Path(__file__).with_name("digit.png")
_DIGIT_SHAPE = (28, 28)
_DRAWING_SCALE = 8


def example_image(shape: Sequence[int]) -> Array:
    """Return an image of a shape, uint8: a hand-drawn 5 for MNIST's, a ramp for any other."""
    if tuple(shape) == _DIGIT_SHAPE:
        with Image.open(_DIGIT) as picture:
            return np.array(picture)
    return np.linspace(0, MAX_PIXEL, int(np.prod(shape))).astype(np.uint8).reshape(shape)


def encode_example(examples: Mapping[str, Any], name: str) -> bytes:
    """Return an example as the body of a request.

    Args:
        examples: The document's `components.examples`.
        name: One of its keys.
    """
    if "value" in examples[name]:
        value = examples[name]["value"]
        return value.encode() if isinstance(value, str) else orjson.dumps(value)
    image = np.array(examples["predict.image.json"]["value"]["pixels"], np.uint8)
    if name == "image.bin":
        return image.tobytes()
    if name == "infer.bin":
        return encode_infer_json(image) + image.tobytes()
    file = io.BytesIO()
    if name == "image.npy":
        np.save(file, image)
    else:
        # As a person would draw it: larger, and dark on light.
        size = (image.shape[1] * _DRAWING_SCALE, image.shape[0] * _DRAWING_SCALE)
        drawing = Image.fromarray(MAX_PIXEL - image).resize(size, Image.Resampling.BICUBIC)
        drawing.save(file, name.rpartition(".")[2])
    return file.getvalue()


def encode_infer_json(image: Array) -> bytes:
    """Return the JSON in front of the binary tensor of `infer.bin`."""
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *image.shape],
        "parameters": {"binary_data_size": image.size},
    }
    return orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})

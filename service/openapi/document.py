"""Completes `openapi.yaml` for the running service: the model, the limits and real examples."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import orjson
from PIL import Image

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.models.loaded_model import LoadedModel
from service.settings import Settings
from service.version import VERSION

_FOLDER = Path(__file__).parent
# What the document describes while there is no model; `digit.png` has this shape.
_DEFAULT_SHAPE = (28, 28)
_DEFAULT_LABELS = range(10)
_PICTURE_FORMATS = ("png", "jpeg", "webp", "bmp")
_DRAWING_SCALE = 8


def build_document(model: LoadedModel | None, settings: Settings, root_path: str) -> dict[str, Any]:
    """Return the OpenAPI document of the service.

    Args:
        model: The default model; its shape, labels and answers are in schemas and examples.
        settings: The limits, and whether there are API keys and a rate limit.
        root_path: The path prefix of the service, empty if it has none.
    """
    import yaml  # not above: it takes 20 ms, which only this document needs

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # Both loaders are safe ones.
    template = yaml.load((_FOLDER / "openapi.yaml").read_bytes(), loader)  # noqa: S506  # nosec B506
    del template["x-shared"]
    values = _values(model, settings) | {"root_path": root_path or "/"}
    document: dict[str, Any] = _fill(template, values)
    if not settings.api_keys:
        del document["security"], document["components"]["securitySchemes"]
    if len(values["image_shape"]) != 2:
        content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
        del content["multipart/form-data"]
        for name in _PICTURE_FORMATS:
            del content[f"image/{name}"], document["components"]["examples"][f"drawing.{name}"]
    return document


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
        return _encode_infer_json(image) + image.tobytes()
    file = io.BytesIO()
    if name == "image.npy":
        np.save(file, image)
    else:
        # As a person would draw it: larger, and dark on light.
        size = (image.shape[1] * _DRAWING_SCALE, image.shape[0] * _DRAWING_SCALE)
        drawing = Image.fromarray(MAX_PIXEL - image).resize(size, Image.Resampling.BICUBIC)
        drawing.save(file, name.rpartition(".")[2])
    return file.getvalue()


def _values(model: LoadedModel | None, settings: Settings) -> dict[str, Any]:
    """Return the value of every name that `openapi.yaml` uses, except the path prefix."""
    shape = tuple(model.manifest.input_shape) if model else _DEFAULT_SHAPE
    labels = list(model.labels if model else _DEFAULT_LABELS)
    version = model.version if model else settings.model_version or 1
    image = _example_image(shape)
    probabilities = [1.0] + [0.0] * (len(labels) - 1)
    if model:
        row = model.predict(scale_pixels(image.reshape(1, -1)))[0]
        probabilities = [float(str(value)) for value in row]  # the digits of a float32
    winner = int(np.argmax(probabilities))
    flat_values = [round(level / MAX_PIXEL, 4) for level in image.ravel().tolist()]
    return {
        "service_version": VERSION,
        "model": model.name if model else settings.model_name,
        "model_version": version,
        "model_version_text": str(version),
        "max_batch": settings.max_batch,
        "max_body_bytes": settings.max_body_bytes,
        "image_shape": list(shape),
        "image_shape_text": "x".join(map(str, shape)),
        "one_image_shape": [1, *shape],
        "batch_shape": [-1, *shape],
        "pixel_count": image.size,
        "nested_levels": _nested_schema(shape, "Level"),
        "nested_values": _nested_schema(shape, "Value"),
        "v1_input_dimensions": [{"size": str(size), "name": ""} for size in (-1, *shape)],
        "v1_output_dimensions": [{"size": str(size), "name": ""} for size in (-1, len(labels))],
        "labels": labels,
        "labels_text": ", ".join(map(str, labels)),
        "class_count": len(labels),
        "levels": image.tolist(),
        "flat_values": flat_values,
        "columns": [str(pixel) for pixel in range(image.size)],
        "csv_line": ",".join(map(str, flat_values)) + "\n",
        "infer_json_bytes": str(len(_encode_infer_json(image))),
        "probabilities": probabilities,
        "class_index": winner,
        "label": labels[winner],
        "confidence": probabilities[winner],
    }


def _example_image(shape: Sequence[int]) -> Array:
    """Return an image of a shape, uint8: a hand-drawn 5 for MNIST's, a ramp for any other."""
    if shape == _DEFAULT_SHAPE:
        with Image.open(_FOLDER / "digit.png") as picture:
            return np.array(picture)
    return np.linspace(0, MAX_PIXEL, int(np.prod(shape))).astype(np.uint8).reshape(shape)


def _encode_infer_json(image: Array) -> bytes:
    """Return the JSON in front of the binary tensor of `infer.bin`."""
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *image.shape],
        "parameters": {"binary_data_size": image.size},
    }
    return orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})


def _nested_schema(shape: Sequence[int], item: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{item}"}
    for size in reversed(shape):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema


def _fill(node: Any, values: Mapping[str, Any]) -> Any:
    """Replace every string `$name`, at any depth, by that value, and names in texts by texts."""
    if isinstance(node, dict):
        return {key: _fill(child, values) for key, child in node.items()}
    if isinstance(node, list):
        return [_fill(child, values) for child in node]
    if not isinstance(node, str):
        return node
    return values[node[1:]] if node[1:] in values else Template(node).safe_substitute(values)

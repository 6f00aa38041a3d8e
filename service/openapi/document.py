"""Completes `openapi.yaml` for the running service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nncore import MAX_PIXEL, scale_pixels
from service.models.loaded_model import LoadedModel
from service.openapi.examples import encode_infer_json, example_image
from service.settings import Settings
from service.version import VERSION

_FILE = Path(__file__).with_name("openapi.yaml")
# What the document describes while there is no model.
_DEFAULT_SHAPE = (28, 28)
_DEFAULT_LABELS = range(10)
_PICTURE_FORMATS = ("png", "jpeg", "webp", "bmp")
_METHODS = ("get", "post")


def build_document(model: LoadedModel | None, settings: Settings, root_path: str) -> dict[str, Any]:
    """Return the OpenAPI document of the service.

    Args:
        model: The default model; its shape, labels and answers are in schemas and examples.
        settings: The limits, and whether there are API keys and a rate limit.
        root_path: The path prefix of the service, empty if it has none.
    """
    import yaml  # not above: it takes 20 ms, which only this document is worth

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # Both loaders are safe ones.
    template = yaml.load(_FILE.read_bytes(), loader)  # noqa: S506  # nosec B506
    del template["x-shared"]
    values = _values(model, settings)
    document: dict[str, Any] = _fill(template, values | {"root_path": root_path or "/"})
    document["info"]["description"] += _describe(values, settings)
    if len(values["image_shape"]) != 2:
        _remove_pictures(document)
    if not settings.api_keys:
        _remove_status(document, "401")
        del document["security"], document["components"]["securitySchemes"]
        for operation in _operations(document):
            operation.pop("security", None)
    if not settings.rate_limit:
        _remove_status(document, "429")
    return document


def _values(model: LoadedModel | None, settings: Settings) -> dict[str, Any]:
    """Return the value of every name that `openapi.yaml` uses, except the path prefix."""
    shape = tuple(model.manifest.input_shape) if model else _DEFAULT_SHAPE
    labels = list(model.labels if model else _DEFAULT_LABELS)
    version = model.version if model else settings.model_version or 1
    image = example_image(shape)
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
        "image_shape": list(shape),
        "one_image_shape": [1, *shape],
        "batch_shape": [-1, *shape],
        "pixel_count": image.size,
        "nested_levels": _nested_schema(shape, "Level"),
        "nested_values": _nested_schema(shape, "Value"),
        "v1_input_dimensions": [{"size": str(size), "name": ""} for size in (-1, *shape)],
        "v1_output_dimensions": [{"size": str(size), "name": ""} for size in (-1, len(labels))],
        "labels": labels,
        "class_count": len(labels),
        "levels": image.tolist(),
        "flat_values": flat_values,
        "columns": [str(pixel) for pixel in range(image.size)],
        "csv_line": ",".join(map(str, flat_values)) + "\n",
        "infer_json_bytes": str(len(encode_infer_json(image))),
        "probabilities": probabilities,
        "class_index": winner,
        "label": labels[winner],
        "confidence": probabilities[winner],
    }


def _nested_schema(shape: Sequence[int], item: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{item}"}
    for size in reversed(shape):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema


def _fill(node: Any, values: Mapping[str, Any]) -> Any:
    """Replace every string `$name`, at any depth, by the value of that name."""
    if isinstance(node, dict):
        return {key: _fill(child, values) for key, child in node.items()}
    if isinstance(node, list):
        return [_fill(child, values) for child in node]
    return values[node[1:]] if isinstance(node, str) and node.startswith("$") else node


def _describe(values: Mapping[str, Any], settings: Settings) -> str:
    """Return the default model, the limits and the access control in Markdown."""
    shape, labels = ("x".join(map(str, values["image_shape"])), map(str, values["labels"]))
    lines = [
        f"Default model: `{values['model']}`, version {values['model_version']}. "
        f"An image has {shape} pixels. Labels: {', '.join(labels)}.",
        f"A request has at most {settings.max_batch} images and {settings.max_body_bytes} bytes.",
    ]
    if settings.api_keys:
        lines.append("Every request except health checks needs an API key.")
    if settings.rate_limit:
        lines.append(f"Rate limit: {settings.rate_limit} per client and worker.")
    return "".join(f"\n{line}\n" for line in lines)


def _operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    paths = document["paths"].values()
    return [path[method] for path in paths for method in _METHODS if method in path]


def _remove_status(document: Mapping[str, Any], status: str) -> None:
    for operation in _operations(document):
        operation["responses"].pop(status, None)
    for form in ("Problem", "Error"):
        del document["components"]["responses"][form + status]


def _remove_pictures(document: Mapping[str, Any]) -> None:
    """Remove the content types that need a model of two-dimensional images."""
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    del content["multipart/form-data"]
    for format_ in _PICTURE_FORMATS:
        del content[f"image/{format_}"], document["components"]["examples"][f"drawing.{format_}"]

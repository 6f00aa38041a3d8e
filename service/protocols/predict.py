"""`POST /predict`, the service's own protocol: images as JSON, arrays of bytes or files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from flask import Blueprint, Response, request
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.errors import RequestError, invalid
from service.inference import Inference, json_response
from service.inputs.json_document import quoted, read_members
from service.inputs.multipart import read_form
from service.inputs.pictures import IMAGE_TYPES, read_pictures
from service.inputs.pixels import PixelReader
from service.inputs.raw_arrays import read_npy, read_raw
from service.models.loaded_model import LoadedModel

_CONTENT_TYPES = (
    "application/json",
    "application/octet-stream",
    "application/x-npy",
    *IMAGE_TYPES,
    "multipart/form-data",
)
_INCLUDABLE = ("pixels", "attributions")
# With both, the response has 12 kB per image of 784 pixels.
_MAX_INCLUDE_IMAGES = 64
_MAX_VALUES = {"0,255": MAX_PIXEL, "0,1": 1}


@dataclass(slots=True)
class Options:
    """The options of a request; those in JSON or a form take precedence over the query.

    Attributes:
        max_value: The largest value of a pixel, 255 or 1; 255 when None.
        top_k: How many of the likeliest labels each prediction lists; none when None.
        include: Further members of each prediction: the "pixels" that the network saw, the
            "attributions" of its label to them.
    """

    max_value: int | None = None
    top_k: int | None = None
    include: Collection[str] = ()


def create_predict_routes(inference: Inference) -> Blueprint:
    """Return the route."""
    routes = Blueprint("predict", __name__)

    @routes.post("/predict")
    def predict() -> Response:
        model = inference.registry.get()
        content_type = request.environ.get("CONTENT_TYPE", "")
        if content_type not in _CONTENT_TYPES:
            content_type = request.mimetype  # which has no parameters
        if content_type not in _CONTENT_TYPES:
            expected, got = ", ".join(_CONTENT_TYPES), content_type[:100] or "no Content-Type"
            raise RequestError(415, f"expected Content-Type: {expected}, got {got}")
        options = _read_query(request.query_string, len(model.labels))
        images: Array

        def decode_images(body: bytes) -> Array:
            nonlocal images
            images = _decode(model, content_type, body, options)
            if options.include and len(images) > _MAX_INCLUDE_IMAGES:
                expected = f"at most {_MAX_INCLUDE_IMAGES} images per request with include"
                raise invalid(expected, str(len(images)))
            return images

        def encode(probabilities: Array) -> Response:
            details: dict[str, Array] = {}
            if "pixels" in options.include:
                details["pixels"] = np.rint(images * MAX_PIXEL).astype(np.uint8)
            if "attributions" in options.include:
                details["attributions"] = model.attribute(images, probabilities.argmax(axis=1))
            return encode_predictions(model, probabilities, options.top_k, details)

        return inference.answer(model, decode_images, encode)

    return routes


def decode_pixels(images: PixelReader, classes: int, body: bytes, options: Options) -> Array:
    """Return the images of `{"pixels": P, "range": R, "top_k": K}`.

    Args:
        images: Reads P.
        classes: How many labels there are, at least K.
        body: JSON. R, the range of pixels, is [0, 255], its default, or [0, 1].
        options: Receives R and K.

    Returns:
        float32 `(batch, pixels)` in [0, 1].
    """

    def read(document: JsonObject, brackets: int) -> Array:
        known = ("pixels", "range", "top_k")
        members = read_members(document, known, "the request", strict=True)
        if "range" in members:
            options.max_value = _max_value(members["range"])
        if "top_k" in members:
            options.top_k = _top_k(members["top_k"], classes)
        max_value, own_brackets = options.max_value or MAX_PIXEL, brackets - ("range" in members)
        return images.read(members.get("pixels"), max_value, own_brackets, "pixels")

    return images.read_json(body, read)


def encode_predictions(
    model: LoadedModel, probabilities: Array, top_k: int | None, details: Mapping[str, Array]
) -> Response:
    """Return the response; `details` are further members of the predictions, `(batch, ...)`."""
    labels = model.labels
    predictions: list[dict[str, Any]] = [
        {"label": labels[winner], "confidence": row[winner], "probabilities": row}
        for row, winner in zip(probabilities, probabilities.argmax(axis=1).tolist(), strict=True)
    ]
    if top_k is not None:
        likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k].tolist()
        for prediction, row, classes in zip(predictions, probabilities, likeliest, strict=True):
            prediction["top_k"] = [
                {"label": labels[index], "probability": row[index]} for index in classes
            ]
    for name, values in details.items():
        for prediction, value in zip(predictions, np.ascontiguousarray(values), strict=True):
            prediction[name] = value
    return json_response(
        {"model": model.name, "version": model.version, "predictions": predictions}
    )


def _decode(model: LoadedModel, content_type: str, body: bytes, options: Options) -> Array:
    max_value, shape = options.max_value or MAX_PIXEL, model.manifest.input_shape
    if content_type == "application/json":
        return decode_pixels(model.images, len(model.labels), body, options)
    if content_type == "application/octet-stream":
        return read_raw(body, model.images, max_value)
    if content_type == "application/x-npy":
        return read_npy(body, model.images, max_value)
    if len(shape) != 2:
        sizes = "x".join(map(str, shape))
        raise RequestError(415, f"model {model.name!r} takes arrays of {sizes} numbers, not files")
    if options.max_value is not None:
        raise invalid("no range", "one: image files have their own")
    files = [body]
    if content_type == "multipart/form-data":
        files = _read_files(model, body, options)
    pictures = read_pictures(files, shape, recenter=model.recenter)
    return scale_pixels(pictures.reshape(len(files), -1))


def _read_files(model: LoadedModel, body: bytes, options: Options) -> list[bytes]:
    boundary = request.mimetype_params.get("boundary")
    files, fields = read_form(body, boundary, model.images.max_batch)
    for name, value in fields:
        if name != "top_k":
            raise invalid('files with a filename or "top_k"', quoted(name))
        options.top_k = _top_k(_integer(value), len(model.labels))
    model.images.check_batch(len(files))
    return files


def _read_query(query: bytes, classes: int) -> Options:
    options = Options()
    # Flask's own parser fails where the bytes are not UTF-8.
    for name, value in parse_qsl(query.decode(errors="replace"), keep_blank_values=True):
        if name == "range" and value in _MAX_VALUES:
            options.max_value = _MAX_VALUES[value]
        elif name == "top_k":
            options.top_k = _top_k(_integer(value), classes)
        elif name == "include" and set(value.split(",")) <= set(_INCLUDABLE):
            options.include = value.split(",")
        else:
            known = f"range={' or '.join(_MAX_VALUES)}, top_k or include={','.join(_INCLUDABLE)}"
            raise invalid(f"{known} in the query", quoted(f"{name}={value}"))
    return options


def _integer(text: str) -> int | str:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text


def _top_k(value: Any, classes: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= classes:
        raise invalid(f"top_k to be an integer from 1 to {classes}", quoted(value))
    return value


def _max_value(value: Any) -> int:
    if isinstance(value, JsonArray) and len(value) == 2:
        for max_value in (MAX_PIXEL, 1):
            if list(value) == [0, max_value]:
                return max_value
    raise invalid(f'"range" to be [0, {MAX_PIXEL}] or [0, 1]', quoted(value))

"""The service's own protocol: `POST /predict`, with images as JSON, arrays of bytes or files."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import orjson
from flask import Blueprint, Response, request
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.core import Core
from service.errors import RequestError
from service.image_arrays import ImageReader
from service.image_files import IMAGE_TYPES, read_image_files
from service.json_body import check_members, quoted, read_json
from service.multipart import read_form
from service.raw_arrays import read_npy, read_raw
from service.serving import ServedModel

_MEMBERS = ("pixels", "range", "top_k")
_PARAMETERS = ("range", "top_k", "include")
_INCLUDED = ("pixels", "attributions")
_WHITES = {"0,255": MAX_PIXEL, "0,1": 1}
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass
class Options:
    """What a request asks for beside its images.

    Attributes:
        white: What full ink is, 255 or 1; 255 when None.
        top_k: How many of the likeliest labels a prediction lists; none when None.
        include: What else a prediction tells: the "pixels" that the network saw, the "attributions"
            of its label to them.
    """

    white: int | None = None
    top_k: int | None = None
    include: Collection[str] = ()


def create_predict_routes(core: Core) -> Blueprint:
    """Make the route."""
    routes = Blueprint("predict", __name__)

    @routes.post("/predict")
    def predict() -> Response:
        """Classify the images of a request."""
        model = core.models.get()
        decode = _DECODERS.get(request.mimetype)
        if decode is None:
            got = request.content_type
            raise RequestError(
                415,
                f"expected Content-Type: {', '.join(_DECODERS)}, "
                + (f"got {got[:100]}" if got else "got no Content-Type"),
            )
        options = _read_query(model)
        images: Array

        def decode_images(body: bytes) -> Array:
            nonlocal images
            images = decode(model, body, options)
            return images

        def encode(probabilities: Array) -> bytes:
            details = _details(model, images, probabilities, options.include)
            return encode_predictions(model, probabilities, options.top_k, details)

        answer = core.answer(model, decode_images, encode)
        return Response(answer, mimetype="application/json")

    return routes


def decode_pixels(images: ImageReader, classes: int, body: bytes, options: Options) -> Array:
    """Read `{"pixels": P, "range": R, "top_k": K}`.

    R says what no ink and full ink are: [0, 255], its default, or [0, 1].

    Args:
        images: Reads the images P.
        classes: How many labels there are, of which K are wanted.
        body: JSON.
        options: Takes R and K.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: The body is no JSON (400), or not of such images (422).
    """

    def read(document: JsonObject) -> Array:
        members = check_members(document, _MEMBERS, "pixels")
        ranged = "range" in members
        if ranged:
            _check_once("range", options.white)
            options.white = _white(document["range"])
        if "top_k" in members:
            _check_once("top_k", options.top_k)
            options.top_k = _top_k(document["top_k"], classes)
        # No member's name, range or number adds a bracket of its own.
        arrays = body.count(b"[") - ranged
        return images.read(document["pixels"], options.white or MAX_PIXEL, arrays)

    return read_json(body, read)


def decode_files(model: ServedModel, files: list[bytes], options: Options) -> Array:
    """Read image files.

    Args:
        model: Whose input they become.
        files: One or more of any format, size, colour and polarity.
        options: Has no range.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: They are no such files or too many (422), or the model is not one of 2-D
            images (415).
    """
    shape = model.manifest.input_shape
    if len(shape) != 2:
        got = "x".join(map(str, shape))
        raise RequestError(
            415,
            f"expected arrays, for the images of model {model.name} are of shape {got}, "
            "got image files",
        )
    if options.white is not None:
        raise RequestError(422, "expected no range with image files, which have their own")
    model.images.check_batch(len(files))
    return scale_pixels(read_image_files(files, shape).reshape(len(files), -1))


def encode_predictions(
    model: ServedModel,
    probabilities: Array,
    top_k: int | None = None,
    details: Mapping[str, Array] = MappingProxyType({}),
) -> bytes:
    """Write the answer to a request.

    Args:
        model: The one that gave the answer.
        probabilities: float32 `(batch, classes)`.
        top_k: How many of the likeliest labels to list; none when None.
        details: What else to tell, by name; `(batch, ...)`.

    Returns:
        JSON; a number has the fewest digits that give the same float32 again.
    """
    rows = np.ascontiguousarray(probabilities)
    labels = model.labels
    predictions: list[dict[str, Any]] = [
        {"label": labels[winner], "confidence": row[winner], "probabilities": row}
        for row, winner in zip(rows, rows.argmax(axis=1).tolist(), strict=True)
    ]
    if top_k is not None:
        likeliest = np.argsort(-rows, axis=1, kind="stable")[:, :top_k].tolist()
        for prediction, row, classes in zip(predictions, rows, likeliest, strict=True):
            prediction["top_k"] = [
                {"label": labels[index], "probability": row[index]} for index in classes
            ]
    for name, values in details.items():
        for prediction, value in zip(predictions, np.ascontiguousarray(values), strict=True):
            prediction[name] = value
    return orjson.dumps(
        {"model": model.name, "version": model.version, "predictions": predictions},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _details(
    model: ServedModel, images: Array, probabilities: Array, names: Collection[str]
) -> dict[str, Array]:
    """Give what a request asks to be told of its images, float32 `(batch, pixels)` in [0, 1]."""
    details: dict[str, Array] = {}
    if "pixels" in names:
        details["pixels"] = np.rint(images * MAX_PIXEL).astype(np.uint8)
    if "attributions" in names:
        details["attributions"] = model.attribute(images, probabilities.argmax(axis=1))
    return details


def _decode_json(model: ServedModel, body: bytes, options: Options) -> Array:
    return decode_pixels(model.images, len(model.labels), body, options)


def _decode_raw(model: ServedModel, body: bytes, options: Options) -> Array:
    return read_raw(body, model.images, options.white or MAX_PIXEL)


def _decode_npy(model: ServedModel, body: bytes, options: Options) -> Array:
    return read_npy(body, model.images, model.manifest.input_shape, options.white or MAX_PIXEL)


def _decode_image(model: ServedModel, body: bytes, options: Options) -> Array:
    return decode_files(model, [body], options)


def _decode_form(model: ServedModel, body: bytes, options: Options) -> Array:
    boundary = request.mimetype_params.get("boundary")
    form = read_form(body, boundary, model.images.max_batch)
    for name, value in form.fields:
        if name != "top_k":
            raise RequestError(
                422,
                f'expected image files and, where needed, "top_k", got {quoted(name)}, '
                "which has no filename",
            )
        _check_once("top_k", options.top_k)
        options.top_k = _top_k_of(value.decode(errors="replace").strip(), len(model.labels))
    return decode_files(model, form.files, options)


_DECODERS: Mapping[str, Callable[[ServedModel, bytes, Options], Array]] = {
    "application/json": _decode_json,
    "application/octet-stream": _decode_raw,
    "application/x-npy": _decode_npy,
    **dict.fromkeys(IMAGE_TYPES, _decode_image),
    "multipart/form-data": _decode_form,
}


def _read_query(model: ServedModel) -> Options:
    """Read the options in the path's query, where bodies other than JSON have theirs."""
    options = Options()
    # Flask's own reading of it fails where its bytes are no UTF-8.
    query = request.query_string.decode(errors="replace")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _PARAMETERS:
            raise RequestError(
                422, f"expected no query but {', '.join(_PARAMETERS)}, got {quoted(name)}"
            )
        if name == "top_k":
            _check_once(name, options.top_k)
            options.top_k = _top_k_of(value, len(model.labels))
        elif name == "include":
            _check_once(name, options.include or None)
            options.include = _include(value)
        else:
            _check_once(name, options.white)
            options.white = _WHITES.get(value)
            if options.white is None:
                raise RequestError(
                    422, f"expected range={' or range='.join(_WHITES)}, got {quoted(value)}"
                )
    return options


def _include(value: str) -> Collection[str]:
    names = value.split(",")
    if not set(names) <= set(_INCLUDED) or len(set(names)) < len(names):
        raise RequestError(
            422,
            f"expected include={' or include='.join(_INCLUDED)}, or both with a comma between "
            f"them, got {quoted(value)}",
        )
    return names


def _check_once(name: str, before: object) -> None:
    if before is not None:
        raise RequestError(422, f"expected {name} once, got it twice")


def _top_k_of(text: str, classes: int) -> int:
    return _top_k(int(text) if _NUMBER.fullmatch(text) else text, classes)


def _top_k(value: Any, classes: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= classes:
        raise RequestError(
            422, f"expected top_k to be an integer from 1 to {classes}, got {quoted(value)}"
        )
    return value


def _white(value: Any) -> int:
    """Read the upper end of the range."""
    got = quoted(value)
    if isinstance(value, JsonArray) and len(value) == 2:
        ends: list[Any] = [value[0], value[1]]
        for white in (MAX_PIXEL, 1):
            if ends == [0, white] and not any(isinstance(end, bool) for end in ends):
                return white
        got = f"[{', '.join(map(quoted, ends))}]"
    raise RequestError(422, f'expected "range" to be [0, {MAX_PIXEL}] or [0, 1], got {got}')

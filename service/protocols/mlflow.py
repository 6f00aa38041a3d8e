"""MLflow's scoring protocol, which is also what SageMaker asks of a container."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import orjson
from flask import Blueprint, Response, request
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject
from simdjson import Parser

from nncore.types import Array
from service.core import Core
from service.errors import RequestError
from service.image_arrays import ImageReader
from service.json_body import quoted, read_json
from service.protocols.instances import FORMS, choose_form, read_document, read_images
from service.version import VERSION

_SPLIT, _RECORDS = "dataframe_split", "dataframe_records"
_FORMS = (*FORMS, _SPLIT, _RECORDS)
_CSV_CHARACTERS = b"0123456789+-.eE, \t\r\n"


def create_mlflow_routes(core: Core) -> Blueprint:
    """Make the routes; the default model answers."""
    routes = Blueprint("mlflow", __name__)

    @routes.get("/ping")
    def ping() -> Response:
        """Tell whether there is a model that answers."""
        core.models.get()
        return Response("\n", mimetype="text/plain")

    @routes.get("/version")
    def version() -> Response:
        """Tell the version of the service."""
        return Response(VERSION, mimetype="text/plain")

    @routes.post("/invocations")
    def invoke() -> Response:
        """Classify the images of a request."""
        model = core.models.get()
        decode = _decoder(model.images)
        answer = core.answer(model, decode, _encode)
        # The body's members are those of the protocol; none of them is for the version.
        headers = {"X-Model-Version": f"{model.name}/{model.version}"}
        return Response(answer, headers=headers, mimetype="application/json")

    return routes


def _decoder(images: ImageReader) -> Callable[[bytes], Array]:
    """Choose by the Content-Type of the request how to read its body.

    Raises:
        RequestError: It is none of those known (415).
    """
    if request.mimetype == "application/json":
        return lambda body: decode_json(images, body)
    if request.mimetype == "text/csv":
        return lambda body: decode_csv(images, body)
    got = request.content_type
    raise RequestError(
        415,
        "expected Content-Type: application/json or text/csv, "
        + (f"got {got[:100]}" if got else "got no Content-Type"),
    )


def decode_json(images: ImageReader, body: bytes) -> Array:
    """Read `instances`, `inputs` or `dataframe_split`.

    Args:
        images: Reads images of the model's shape.
        body: JSON.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: The body is no JSON, or not of such images (400).
    """

    def read(document: JsonObject) -> Array:
        form = choose_form(document, _FORMS)
        arrays = body.count(b"[")
        if form == _RECORDS:
            raise RequestError(400, f"expected {_SPLIT}, got {_RECORDS}: it has a name a number")
        if form == _SPLIT:
            return _read_split(images, document[_SPLIT], arrays)
        return read_images(images, document, form, arrays)

    return read_document(body, read)


def decode_csv(images: ImageReader, body: bytes) -> Array:
    """Read a line an image, its numbers with commas between; a line of names may come first.

    Args:
        images: Reads images of the model's shape.
        body: CSV.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: These are no such lines (400).
    """
    rows = _without_names(body.rstrip(), images.image_size)
    if strange := rows.translate(None, _CSV_CHARACTERS)[:1]:
        raise RequestError(400, f"expected numbers with commas between, got {ascii(strange)[1:]}")
    lines = rows.count(b"\n") + 1 if rows else 0

    def read(document: JsonObject) -> Array:
        return images.read(document["lines"], 1, lines + 1, "lines", batched=True)

    try:
        images.check_batch(lines)
        # With no characters but those, a line is numbers as JSON has them, or no such line.
        return read_json(b'{"lines":[[%b]]}' % rows.replace(b"\n", b"],["), read)
    except RequestError as error:
        fault = _malformed_line(rows) if lines <= images.max_batch else None
        raise RequestError(400, fault or error.detail) from None


def _read_split(images: ImageReader, frame: Any, arrays: int) -> Array:
    """Read a data frame with a row an image, its columns in the order of the pixels."""
    if not isinstance(frame, JsonObject) or "data" not in frame:
        raise RequestError(
            400, f'expected {_SPLIT} to be an object with "data", got {quoted(frame)}'
        )
    data = frame[choose_form(frame, ("data",))]
    rows = len(data) if isinstance(data, JsonArray) else 0
    for name, length in (("columns", images.image_size), ("index", rows)):
        names = frame.get(name)
        if names is None:
            continue
        if not isinstance(names, JsonArray) or len(names) != length:
            raise RequestError(
                400, f'expected "{name}" to be an array of {length}, got {quoted(names)}'
            )
        arrays -= 1
    return images.read(data, 1, arrays, "data", batched=True)


def _without_names(rows: bytes, size: int) -> bytes:
    """Leave out a first line of names, or of the columns' numbers, as pandas writes it."""
    first, _, others = rows.partition(b"\n")
    if first.count(b",") != size - 1:
        return rows
    first = first.strip()
    named = first == _column_numbers(size) or not any(map(_is_number, first.split(b",")))
    return others if named else rows


@cache
def _column_numbers(size: int) -> bytes:
    return b",".join(b"%d" % number for number in range(size))


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _malformed_line(rows: bytes) -> str | None:
    """Find the first line that is no numbers with commas between, as JSON writes numbers."""
    parser = Parser()
    for number, line in enumerate(rows.split(b"\n")):
        try:
            parser.parse(b"[%b]" % line)
        except (ValueError, RuntimeError):
            return (
                "expected numbers as JSON writes them, with commas between, got others in "
                f"image {number}"
            )
    return None


def _encode(probabilities: Array) -> bytes:
    answer = {"predictions": np.ascontiguousarray(probabilities)}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

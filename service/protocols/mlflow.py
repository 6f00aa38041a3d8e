"""MLflow's scoring protocol, which is also SageMaker's container contract."""

import re
from collections.abc import Callable

from flask import Blueprint, Response, request
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore.types import Array
from service.errors import RequestError, invalid
from service.inference import Inference, json_response
from service.inputs.json_document import read_members
from service.inputs.pixels import PixelReader
from service.protocols import foreign
from service.version import VERSION

_SPLIT = "dataframe_split"
_CSV_CHARACTERS = b"0123456789+-.eE, \t\r\n"
# pandas numbers columns without names. As an image, this line has a 2, which is out of range.
_COLUMN_NUMBERS = b"0,1,2,"
_MAX_SEARCHED_BYTES = 10_000
_NUMBER_FIELD = re.compile(rb"(^|,)\s*([-+.\d]|(nan|inf)\b)", re.IGNORECASE)


def create_mlflow_routes(inference: Inference) -> Blueprint:
    """Return the routes; the default model answers."""
    routes = Blueprint("mlflow", __name__)

    @routes.get("/ping")
    def ping() -> Response:
        inference.registry.get()
        return Response("\n", mimetype="text/plain")

    @routes.get("/version")
    def version() -> Response:
        return Response(VERSION, mimetype="text/plain")

    @routes.post("/invocations")
    def invoke() -> Response:
        decode = _DECODERS.get(request.mimetype)
        if decode is None:
            got = request.environ.get("CONTENT_TYPE", "")[:100] or "no Content-Type"
            raise RequestError(415, f"expected Content-Type: {' or '.join(_DECODERS)}, got {got}")
        model = inference.registry.get()

        def encode(probabilities: Array) -> Response:
            return json_response({"predictions": probabilities}, model)

        return inference.answer(model, lambda body: decode(model.images, body), encode)

    return routes


def decode_json(images: PixelReader, body: bytes) -> Array:
    """Return the images of `instances`, `inputs` or `dataframe_split` in JSON.

    They are float32 `(batch, pixels)` in [0, 1].
    """

    def read(document: JsonObject, brackets: int) -> Array:
        form, value = foreign.read_form(document, (*foreign.FORMS, _SPLIT))
        if form != _SPLIT:
            return foreign.read_images(images, form, value, brackets)
        frame = read_members(value, ("columns", "index", "data"), _SPLIT)
        data = frame.pop("data", None)
        others = sum(isinstance(names, JsonArray) for names in frame.values())
        return images.read(data, 1, brackets - others, "data", batch_only=True)

    return images.read_json(body, read)


def decode_csv(images: PixelReader, body: bytes) -> Array:
    """Return the images of CSV, one per line, after a line that may name or number the columns.

    They are float32 `(batch, pixels)` in [0, 1].
    """
    rows = body.rstrip()
    first, newline, _ = rows.partition(b"\n")
    if first.startswith(_COLUMN_NUMBERS) or not _NUMBER_FIELD.search(first[:_MAX_SEARCHED_BYTES]):
        rows = rows[len(first + newline) :]
    lines = rows.count(b"\n") + 1 if rows else 0
    images.check_batch(lines)
    if strange := rows.translate(None, _CSV_CHARACTERS)[:1]:
        raise invalid("numbers separated by commas", ascii(strange)[1:])

    def read(document: JsonObject, brackets: int) -> Array:
        return images.read(document["lines"], 1, brackets, "lines", batch_only=True)

    # With these characters only, a line of numbers is the same in CSV and in JSON.
    document = b'{"lines":[[%b]]}' % rows.replace(b"\n", b"],[")
    try:
        return images.read_json(document, read)
    except RequestError as error:
        if error.status == 400:
            error.detail = "expected lines of numbers separated by commas, got a malformed line"
        raise


_DECODERS: dict[str, Callable[[PixelReader, bytes], Array]] = {
    "application/json": decode_json,
    "text/csv": decode_csv,
}

"""Makes schemathesis' requests valid where a JSON Schema cannot express what is valid.

schemathesis loads this module by `SCHEMATHESIS_HOOKS=benchmarks.conformance_hooks`. It changes only
requests that are meant to be valid.
"""

import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis import HookContext
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.modes import GenerationMode
from urllib3 import encode_multipart_formdata

from nncore.types import Array
from service.inputs.pictures import IMAGE_TYPES

# The model that is served. An image of many pixels would leave no room in a generated request.
MODEL, VERSION, SHAPE, MAX_BATCH = "mnist", 1, (2, 3), 4
LABELS = ("circle", "square", "star")
SIZE = SHAPE[0] * SHAPE[1]
_JSON_SIZE = "Inference-Header-Content-Length"
# One in so many requests keeps its generated model name, which does not exist.
_UNKNOWN_MODELS = 8

AnyCase = Any  # schemathesis types its members by the document


@schemathesis.hook
def before_call(_context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """Repair a request that is meant to be valid."""
    if case.meta is None:
        return
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        for name, value in {"name": MODEL, "version": VERSION}.items():
            given = case.path_parameters.get(name)
            if given is not None and zlib.crc32(str(given).encode()) % _UNKNOWN_MODELS:
                case.path_parameters[name] = value
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        repair = _REPAIRS.get((case.path.rpartition("/")[2], case.media_type or ""))
        if repair:
            repair(case)
        if case.media_type == "application/json" and isinstance(case.body, dict):
            case.body = _with_plain_integers(case.body)
        if case.media_type == "multipart/form-data":
            kwargs["data"], case.headers["Content-Type"] = _encode_form(case.body)


def _repair_tensor(case: AnyCase) -> None:
    """Replace the data of a JSON tensor by images, and its shape by theirs."""
    case.headers.pop(_JSON_SIZE, None)
    tensor = case.body["inputs"][0]
    seed = zlib.crc32(json.dumps(tensor).encode())
    count = 1 + seed % MAX_BATCH
    values = np.random.default_rng(seed).integers(0, 2, (count, *SHAPE))
    if tensor["datatype"] == "UINT8":
        values *= 255
    tensor["shape"] = [count, *SHAPE] if seed % 3 else [count, SIZE]
    tensor["data"] = values.reshape(tensor["shape"] if seed % 2 else -1).tolist()
    tensor.pop("parameters", None)
    outputs = {output["name"]: output for output in case.body.get("outputs") or []}
    (outputs.get("label", {}).get("parameters") or {}).pop("classification", None)
    case.body["outputs"] = list(outputs.values())


def _repair_binary_tensor(case: AnyCase) -> None:
    """Replace any bytes by a binary tensor of these bytes."""
    seed = _bytes(case)
    count = 1 + len(seed) % MAX_BATCH
    datatypes = [("UINT8", "u1"), ("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8")]
    datatype, dtype = datatypes[zlib.crc32(seed) % len(datatypes)]
    levels = np.resize(np.frombuffer(seed, np.uint8), count * SIZE)
    data = (levels if datatype == "UINT8" else levels / 255).astype(dtype).tobytes()
    tensor = {
        "name": "images",
        "datatype": datatype,
        "shape": [count, *SHAPE] if len(seed) % 2 else [count, SIZE],
        "parameters": {"binary_data_size": len(data)},
    }
    head = {"inputs": [tensor], "parameters": {"binary_data_output": bool(len(seed) % 3)}}
    text = json.dumps(head).encode()
    case.headers[_JSON_SIZE] = str(len(text))
    case.body = text + data


def _repair_csv(case: AnyCase) -> None:
    """Replace any text by one line of numbers per image."""
    levels = np.resize(np.frombuffer(case.body.encode() or b"x", np.uint8), (MAX_BATCH, SIZE))
    case.body = "".join(",".join(map(repr, row)) + "\n" for row in (levels / 255).tolist())


def _repair_raw(case: AnyCase) -> None:
    """Replace any bytes by whole images in the range of the query."""
    seed = _bytes(case)
    levels = np.resize(np.frombuffer(seed, np.uint8), (1 + len(seed) % MAX_BATCH) * SIZE)
    case.body = (levels % 2 if case.query.get("range") == "0,1" else levels | 2).tobytes()


def _remove_range(case: AnyCase) -> None:
    case.query.pop("range", None)


def _repair_pixels(case: AnyCase) -> None:
    """Let the range be that of the pixels."""
    _remove_range(case)
    if case.body.get("range") != [0, 1]:
        # No image may have only values of up to 1; 2 to 255 stand for them.
        pixels = np.array(case.body["pixels"])
        case.body["pixels"] = np.where(pixels <= 1, 2, pixels).tolist()


def _encode_form(form: dict[str, Any]) -> tuple[bytes, str]:
    """Return a form whose files have a filename each, and its content type."""
    images = form["image"] if isinstance(form["image"], list) else [form["image"]]
    fields: list[Any] = [("image", ("image", getattr(image, "data", image))) for image in images]
    if "top_k" in form:
        fields.append(("top_k", str(form["top_k"])))
    return encode_multipart_formdata(fields)


def _bytes(case: AnyCase) -> bytes:
    return bytes(getattr(case.body, "data", case.body)) or b"x"


def _with_plain_integers(value: Any) -> Any:
    """Write whole numbers in 64 bits without a decimal point: JSON Schema allows either."""
    if isinstance(value, dict):
        return {name: _with_plain_integers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_plain_integers(element) for element in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return max(-(2**63), min(2**63 - 1, int(value)))
    return value


_REPAIRS: dict[tuple[str, str], Callable[[AnyCase], None]] = {
    ("infer", "application/json"): _repair_tensor,
    ("infer", "application/octet-stream"): _repair_binary_tensor,
    ("invocations", "text/csv"): _repair_csv,
    ("predict", "application/json"): _repair_pixels,
    ("predict", "application/octet-stream"): _repair_raw,
    ("predict", "application/x-npy"): _remove_range,
    ("predict", "multipart/form-data"): _remove_range,
    **{("predict", content_type): _remove_range for content_type in IMAGE_TYPES},
}


def _levels() -> st.SearchStrategy[Array]:
    """Return images of any size, uint8 `(height, width)`."""

    def draw(size: tuple[int, int], seed: int) -> Array:
        return np.random.default_rng(seed).integers(0, 256, size, np.uint8)

    sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
    return st.builds(draw, sizes, st.integers(0, 2**32 - 1))


def _encode_picture(levels: Array, format_: str, mode: str) -> bytes:
    picture = io.BytesIO()
    Image.fromarray(levels).convert(mode).save(picture, format_)
    return picture.getvalue()


def _encode_array(count: int, seed: int) -> bytes:
    array = io.BytesIO()
    np.save(array, np.random.default_rng(seed).integers(2, 256, (count, *SHAPE), np.uint8))
    return array.getvalue()


for _content_type in IMAGE_TYPES:
    schemathesis.openapi.media_type(
        _content_type,
        st.builds(
            _encode_picture,
            _levels(),
            st.just(_content_type.removeprefix("image/")),
            st.sampled_from(["L", "RGB"]),
        ),
    )
schemathesis.openapi.media_type(
    "application/x-npy", st.builds(_encode_array, st.integers(1, MAX_BATCH), st.integers(0, 999))
)

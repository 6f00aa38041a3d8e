"""What schemathesis cannot know: relations in a valid request that no JSON Schema can express.

schemathesis loads this by `SCHEMATHESIS_HOOKS=benchmarks.conformance_hooks`. Only requests that are
meant to be valid are touched.
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
from service.image_files import IMAGE_TYPES

# The model that is served; see `benchmarks.conformance`.
MODEL, VERSION, SHAPE, MOST_IMAGES = "mnist", 1, (2, 3), 4
SIZE = SHAPE[0] * SHAPE[1]
HEADER_SIZE = "Inference-Header-Content-Length"
# One in so many keeps the name that was made up, which no model has.
_UNKNOWN = 8

AnyCase = Any  # its members are of many types, which hang on the document


@schemathesis.hook
def before_call(_context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """Turn what is meant to be valid into what is."""
    if case.meta is None:
        return
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        _name_the_model(case)
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        repair = _REPAIRS.get((case.path.rpartition("/")[2], case.media_type or ""))
        if repair:
            repair(case)
        if case.media_type == "application/json" and isinstance(case.body, dict):
            case.body = _with_plain_integers(case.body)
        if case.media_type == "multipart/form-data":
            kwargs["data"], case.headers["Content-Type"] = _encode_form(case.body)


def _name_the_model(case: AnyCase) -> None:
    names = {"name": MODEL, "version": VERSION}
    for name, value in names.items():
        given = case.path_parameters.get(name)
        if given is not None and zlib.crc32(str(given).encode()) % _UNKNOWN:
            case.path_parameters[name] = value


def _repair_json_tensor(case: AnyCase) -> None:
    """Make the shape of the input that of its data."""
    _forget_headers(case)
    tensor = case.body["inputs"][0]
    data = tensor["data"]
    if isinstance(data[0], list):
        tensor["shape"][0] = len(data)
    else:
        count = len(data) // SIZE
        tensor["shape"][0], tensor["data"] = count, data[: count * SIZE]


def _repair_binary_tensor(case: AnyCase) -> None:
    """Describe any bytes as a tensor, in one of the ways that there are."""
    _forget_headers(case)
    seed = _bytes(case)
    count = 1 + len(seed) % MOST_IMAGES
    datatype, dtype = [("UINT8", "u1"), ("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8")][
        zlib.crc32(seed) % 4
    ]
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
    case.headers[HEADER_SIZE] = str(len(text))
    case.body = text + data


def _forget_headers(case: AnyCase) -> None:
    for name in (HEADER_SIZE, "Content-Encoding"):
        case.headers.pop(name, None)


def _repair_frame(case: AnyCase) -> None:
    """Give a data frame a name for each of its rows."""
    frame = case.body.get("dataframe_split", {})
    if frame.get("index") is not None:
        frame["index"] = list(range(len(frame["data"])))


def _repair_csv(case: AnyCase) -> None:
    """Make any text lines of numbers, each for an image."""
    levels = np.resize(np.frombuffer(case.body.encode() or b"x", np.uint8), (MOST_IMAGES, SIZE))
    case.body = "".join(",".join(map(repr, row)) + "\n" for row in (levels / 255).tolist())


def _repair_raw(case: AnyCase) -> None:
    """Make any bytes whole images."""
    seed = _bytes(case)
    levels = np.resize(np.frombuffer(seed, np.uint8), (1 + len(seed) % MOST_IMAGES) * SIZE)
    # A blank image is fine in both ranges, any other of 0 to 1 only in one of them.
    case.body = (levels % 2 if case.query.get("range") == "0,1" else levels | 2).tobytes()


def _forget_range(case: AnyCase) -> None:
    """Leave out the range, which pictures have none of and the arrays below are not in."""
    case.query.pop("range", None)


def _repair_form(case: AnyCase) -> None:
    """A form has no range, and says once how many labels it wants."""
    _forget_range(case)
    if "top_k" in case.body:
        case.query.pop("top_k", None)


def _encode_form(form: dict[str, Any]) -> tuple[bytes, str]:
    """Write a form whose files have a filename each."""
    images = form["image"] if isinstance(form["image"], list) else [form["image"]]
    fields: list[Any] = [("image", ("image", getattr(image, "data", image))) for image in images]
    if "top_k" in form:
        fields.append(("top_k", str(form["top_k"])))
    return encode_multipart_formdata(fields)


def _repair_pixels(case: AnyCase) -> None:
    """Say each option once."""
    for name in {"range", "top_k"} & set(case.body):
        case.query.pop(name, None)
    if case.query.get("range") == "0,1":
        del case.query["range"]


def _bytes(case: AnyCase) -> bytes:
    return bytes(getattr(case.body, "data", case.body)) or b"x"


def _with_plain_integers(value: Any) -> Any:
    """Write whole numbers without a point, for which JSON Schema does not care, and in 64 bits."""
    if isinstance(value, dict):
        return {name: _with_plain_integers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_plain_integers(element) for element in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return max(-(2**63), min(2**63 - 1, int(value)))
    return value


_REPAIRS: dict[tuple[str, str], Callable[[AnyCase], None]] = {
    ("infer", "application/json"): _repair_json_tensor,
    ("infer", "application/octet-stream"): _repair_binary_tensor,
    ("invocations", "application/json"): _repair_frame,
    ("invocations", "text/csv"): _repair_csv,
    ("predict", "application/json"): _repair_pixels,
    ("predict", "application/octet-stream"): _repair_raw,
    ("predict", "application/x-npy"): _forget_range,
    ("predict", "multipart/form-data"): _repair_form,
    **{("predict", content_type): _forget_range for content_type in IMAGE_TYPES},
}


def _levels() -> st.SearchStrategy[Array]:
    """Make images, uint8 `(height, width)`, of any size."""

    def draw(size: tuple[int, int], seed: int) -> Array:
        return np.random.default_rng(seed).integers(0, 256, size, np.uint8)

    sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
    return st.builds(draw, sizes, st.integers(0, 2**32 - 1))


def _picture(levels: Array, format_: str, mode: str) -> bytes:
    picture = io.BytesIO()
    Image.fromarray(levels).convert(mode).save(picture, format_)
    return picture.getvalue()


def _array(count: int, seed: int) -> bytes:
    array = io.BytesIO()
    np.save(array, np.random.default_rng(seed).integers(2, 256, (count, *SHAPE), np.uint8))
    return array.getvalue()


for _content_type in IMAGE_TYPES:
    schemathesis.openapi.media_type(
        _content_type,
        st.builds(
            _picture,
            _levels(),
            st.just(_content_type.removeprefix("image/")),
            st.sampled_from(["L", "RGB"]),
        ),
    )
schemathesis.openapi.media_type(
    "application/x-npy", st.builds(_array, st.integers(1, MOST_IMAGES), st.integers(0, 999))
)

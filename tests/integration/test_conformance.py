"""The service answers valid and invalid requests of every route as its OpenAPI document says.

schemathesis generates the requests, in a process that loads this module for its hooks. They repair
requests that are meant to be valid where a JSON Schema cannot express what is valid.
"""

import io
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis import HookContext
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.modes import GenerationMode
from urllib3 import encode_multipart_formdata

from nncore.types import Array
from service.inputs.pictures import IMAGE_TYPES
from tests.support.models import publish
from tests.support.server import ROOT, running

EXAMPLES = 50  # per operation
# An image of many pixels would leave no room in a generated request.
SHAPE, MAX_BATCH = (2, 3), 4
# The default statuses, and those for a wrong content type, content encoding or size.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 406, 413, 415, 422, 428, "5xx"]
"""
JSON_SIZE = "Inference-Header-Content-Length"
BINARY = {"UINT8": "u1", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}

AnyCase = Any  # schemathesis types its members by the document


@pytest.mark.slow
def test_conformance(tmp_path: Path) -> None:
    publish(tmp_path / "models", SHAPE, ("circle", "square", "star"))
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    settings = {"WEB_CONCURRENCY": "1", "MAX_BATCH": str(MAX_BATCH), "LOG_LEVEL": "warning"}
    with running(tmp_path / "models", tmp_path / "log", settings) as service:
        result = subprocess.run(
            [
                *(sys.executable, "-c", "from schemathesis.cli import schemathesis as s; s()"),
                *("--config-file", str(configuration), "run", "--no-color", "--checks", "all"),
                *("--continue-on-failure", "--generation-database", "none", "--seed", "1"),
                *("--max-examples", str(EXAMPLES)),
                f"http://127.0.0.1:{service.port}/openapi.json",
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": __name__},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-1000:]


@schemathesis.hook
def before_call(_context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """Repair a request that is meant to be valid."""
    if case.meta is None:
        return
    random = np.random.default_rng(zlib.crc32(repr(case.body).encode()))
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        for name, value in {"name": "mnist", "version": 1}.items():
            if name in case.path_parameters and random.integers(8):  # the others do not exist
                case.path_parameters[name] = value
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        repair = REPAIRS.get((case.path.rpartition("/")[2], case.media_type or ""))
        if repair:
            repair(case, random)
        if case.media_type == "application/json" and isinstance(case.body, dict):
            case.body = with_plain_integers(case.body)
        if case.media_type == "multipart/form-data":
            kwargs["data"], case.headers["Content-Type"] = encode_form(case.body)


def repair_tensor(case: AnyCase, random: np.random.Generator) -> None:
    """Replace the data of a JSON tensor by images, and its shape by theirs."""
    case.headers.pop(JSON_SIZE, None)
    tensor = case.body["inputs"][0]
    values = random_images(random, 2) * (255 if tensor["datatype"] == "UINT8" else 1)
    tensor["shape"] = list(values.shape)
    tensor["data"] = (values if random.integers(2) else values.ravel()).tolist()
    tensor.pop("parameters", None)
    outputs = {output["name"]: output for output in case.body.get("outputs") or []}
    (outputs.get("label", {}).get("parameters") or {}).pop("classification", None)
    case.body["outputs"] = list(outputs.values())


def repair_binary_tensor(case: AnyCase, random: np.random.Generator) -> None:
    """Replace the body by a binary tensor."""
    values, datatype = random_images(random), str(random.choice(list(BINARY)))
    data = (values if datatype == "UINT8" else values / 255).astype(BINARY[datatype]).tobytes()
    tensor: dict[str, Any] = {"name": "images", "datatype": datatype, "shape": values.shape}
    tensor["parameters"] = {"binary_data_size": len(data)}
    parameters = {"binary_data_output": bool(random.integers(2))}
    head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    case.headers[JSON_SIZE] = str(len(head))
    case.body = head + data


def repair_csv(case: AnyCase, random: np.random.Generator) -> None:
    """Replace the body by one line of numbers per image."""
    rows = (random_images(random).reshape(-1, SHAPE[0] * SHAPE[1]) / 255).tolist()
    case.body = "".join(",".join(map(repr, row)) + "\n" for row in rows)


def repair_bytes(case: AnyCase, random: np.random.Generator) -> None:
    """Replace the body by whole images in the range of the query."""
    one = case.query.get("range") == "0,1"
    case.body = (random_images(random, 2) if one else random_images(random) | 2).tobytes()


def repair_pixels(case: AnyCase, random: np.random.Generator) -> None:
    """Let the range be that of the pixels."""
    remove_range(case, random)
    if case.body.get("range") != [0, 1]:
        # No image may have only values of up to 1; 2 to 255 stand for them.
        pixels = np.array(case.body["pixels"])
        case.body["pixels"] = np.where(pixels <= 1, 2, pixels).tolist()


def remove_range(case: AnyCase, _: np.random.Generator) -> None:
    case.query.pop("range", None)


REPAIRS: dict[tuple[str, str], Callable[[AnyCase, np.random.Generator], None]] = {
    ("infer", "application/json"): repair_tensor,
    ("infer", "application/octet-stream"): repair_binary_tensor,
    ("invocations", "text/csv"): repair_csv,
    ("predict", "application/json"): repair_pixels,
    ("predict", "application/octet-stream"): repair_bytes,
    ("predict", "application/x-npy"): remove_range,
    ("predict", "multipart/form-data"): remove_range,
    **{("predict", content_type): remove_range for content_type in IMAGE_TYPES},
}


def random_images(random: np.random.Generator, levels: int = 256) -> Array:
    """Return uint8 images, `(batch, 2, 3)` or `(batch, 6)`."""
    images = random.integers(0, levels, (random.integers(1, MAX_BATCH + 1), *SHAPE), np.uint8)
    return images if random.integers(2) else images.reshape(len(images), -1)


def encode_form(form: dict[str, Any]) -> tuple[bytes, str]:
    """Return a form whose files have a filename each, and its content type."""
    images = form["image"] if isinstance(form["image"], list) else [form["image"]]
    fields: list[Any] = [("image", ("image", getattr(image, "data", image))) for image in images]
    if "top_k" in form:
        fields.append(("top_k", str(form["top_k"])))
    return encode_multipart_formdata(fields)


def with_plain_integers(value: Any) -> Any:
    """Write whole numbers in 64 bits without a decimal point: JSON Schema allows either."""
    if isinstance(value, dict):
        return {name: with_plain_integers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_plain_integers(element) for element in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return max(-(2**63), min(2**63 - 1, int(value)))
    return value


def encode_picture(random: np.random.Generator, content_type: str) -> bytes:
    levels = random.integers(0, 256, random.integers(1, 41, 2), np.uint8)
    file = io.BytesIO()
    mode = str(random.choice(["L", "RGB"]))
    Image.fromarray(levels).convert(mode).save(file, content_type.removeprefix("image/"))
    return file.getvalue()


def encode_array(random: np.random.Generator) -> bytes:
    file = io.BytesIO()
    np.save(file, random.integers(2, 256, (random.integers(1, MAX_BATCH + 1), *SHAPE), np.uint8))
    return file.getvalue()


RANDOM = st.integers(0, 999).map(np.random.default_rng)
for picture in IMAGE_TYPES:
    pictures = st.builds(encode_picture, RANDOM, st.just(picture))
    schemathesis.openapi.media_type(picture, pictures)
schemathesis.openapi.media_type("application/x-npy", st.builds(encode_array, RANDOM))

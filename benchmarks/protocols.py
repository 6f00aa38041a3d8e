"""Requests for predictions, and the probabilities in their responses, in several protocols."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nncore.types import Array

_HEADER_LENGTH = "Inference-Header-Content-Length"


class Body(NamedTuple):
    """A request's body and the headers that go with it."""

    content: bytes
    headers: Mapping[str, str]


class Protocol(NamedTuple):
    """A way to ask for predictions.

    Attributes:
        write: Returns a request for images, uint8 `(batch, 784)`.
        read: Returns the probabilities, `(batch, 10)`, of a response with these headers (names in
            lower case) and this body.
    """

    write: Callable[[Array], Body]
    read: Callable[[Mapping[str, str], bytes], Array]


def _json(document: Any) -> Body:
    text = json.dumps(document, separators=(",", ":"))
    return Body(text.encode(), {"Content-Type": "application/json"})


def _write_pixels(images: Array) -> Body:
    return _json({"pixels": images.tolist()})


def _tensor(images: Array) -> dict[str, Any]:
    return {"name": "images", "shape": [len(images), 28, 28], "datatype": "UINT8"}


def _write_v2(images: Array) -> Body:
    return _json({"inputs": [_tensor(images) | {"data": images.ravel().tolist()}]})


def _read_v2(_: Mapping[str, str], answer: bytes) -> Array:
    outputs = {output["name"]: output["data"] for output in json.loads(answer)["outputs"]}
    return np.array(outputs["probabilities"]).reshape(-1, 10)


def _write_binary(images: Array) -> Body:
    tensor = _tensor(images) | {"parameters": {"binary_data_size": images.size}}
    head, _ = _json({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(head))}
    return Body(head + images.tobytes(), headers)


def _read_binary(headers: Mapping[str, str], answer: bytes) -> Array:
    start = int(headers[_HEADER_LENGTH.lower()])
    for output in json.loads(answer[:start])["outputs"]:
        end = start + output["parameters"]["binary_data_size"]
        if output["name"] == "probabilities":
            return np.frombuffer(answer[start:end], "<f4").reshape(-1, 10)
        start = end
    raise ValueError("the response has no probabilities")


PREDICT = Protocol(
    _write_pixels,
    lambda _, answer: np.array([p["probabilities"] for p in json.loads(answer)["predictions"]]),
)
# The peers' own form: {"labels": [...], "probabilities": [[...], ...]}.
LISTS = Protocol(_write_pixels, lambda _, answer: np.array(json.loads(answer)["probabilities"]))
V2_JSON = Protocol(_write_v2, _read_v2)
V2_BINARY = Protocol(_write_binary, _read_binary)

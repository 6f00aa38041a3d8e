"""How requests for predictions are written, and their responses read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nncore.types import Array

_HEADER_LENGTH = "Inference-Header-Content-Length"
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Body:
    """A request's body and the headers that go with it."""

    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Protocol:
    """A way to ask for predictions.

    Attributes:
        write: Returns a request for images, uint8 `(batch, 784)`.
        read: Returns the labels, `(batch,)`, and the probabilities, `(batch, 10)`, of a response
            with these headers (names in lower case) and this body.
    """

    write: Callable[[Array], Body]
    read: Callable[[Mapping[str, str], bytes], tuple[Array, Array]]


def _write_pixels(images: Array) -> Body:
    return Body(_dumps({"pixels": images.tolist()}), _JSON)


def _read_predictions(_: Mapping[str, str], answer: bytes) -> tuple[Array, Array]:
    predictions = json.loads(answer)["predictions"]
    labels = [prediction["label"] for prediction in predictions]
    return np.array(labels), np.array([prediction["probabilities"] for prediction in predictions])


def _read_lists(_: Mapping[str, str], answer: bytes) -> tuple[Array, Array]:
    document = json.loads(answer)
    return np.array(document["labels"]), np.array(document["probabilities"])


def _write_v2(images: Array) -> Body:
    tensor = {"name": "images", "shape": [len(images), 28, 28], "datatype": "UINT8"}
    return Body(_dumps({"inputs": [tensor | {"data": images.ravel().tolist()}]}), _JSON)


def _read_v2(_: Mapping[str, str], answer: bytes) -> tuple[Array, Array]:
    outputs = {output["name"]: output["data"] for output in json.loads(answer)["outputs"]}
    return np.array(outputs["label"]), np.array(outputs["probabilities"]).reshape(-1, 10)


def _write_binary(images: Array) -> Body:
    tensor = {
        "name": "images",
        "shape": [len(images), 28, 28],
        "datatype": "UINT8",
        "parameters": {"binary_data_size": images.size},
    }
    head = _dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(head))}
    return Body(head + images.tobytes(), headers)


def _read_binary(headers: Mapping[str, str], answer: bytes) -> tuple[Array, Array]:
    start = int(headers[_HEADER_LENGTH.lower()])
    tensors = {}
    for output in json.loads(answer[:start])["outputs"]:
        end = start + output["parameters"]["binary_data_size"]
        tensors[output["name"]] = answer[start:end]
        start = end
    probabilities = np.frombuffer(tensors["probabilities"], "<f4").reshape(-1, 10)
    return np.frombuffer(tensors["label"], "<i8"), probabilities


def _dumps(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


PREDICT = Protocol(_write_pixels, _read_predictions)
LISTS = Protocol(_write_pixels, _read_lists)
V2_JSON = Protocol(_write_v2, _read_v2)
V2_BINARY = Protocol(_write_binary, _read_binary)

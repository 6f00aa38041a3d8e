"""Every protocol's way to ask about images, and to read which version answered what."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.serving.protocols import PREDICT, V2_BINARY, V2_JSON, Body, Protocol
from nncore import scale_pixels
from nncore.types import Array

# Which version gave which probabilities, `(batch, classes)`.
Said = tuple[int, Array]

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Way:
    """How a protocol asks, and how it answers.

    Attributes:
        path: Where the request goes.
        write: Makes it for images, uint8 `(batch, 28, 28)`.
        read: Gives what an answer says, by its headers and its body.
    """

    path: str
    write: Callable[[Array], Body]
    read: Callable[[Mapping[str, str], bytes], Said]


def _read_predict(headers: Mapping[str, str], body: bytes) -> Said:
    return json.loads(body)["version"], PREDICT.read(headers, body)[1]


def _write_octets(images: Array) -> Body:
    return Body(images.tobytes(), {"Content-Type": "application/octet-stream"})


def _write_npy(images: Array) -> Body:
    file = io.BytesIO()
    np.save(file, images)
    return Body(file.getvalue(), {"Content-Type": "application/x-npy"})


def _write_png(images: Array) -> Body:
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "PNG")
    return Body(file.getvalue(), {"Content-Type": "image/png"})


def _write_instances(images: Array) -> Body:
    return Body(json.dumps({"instances": scale_pixels(images).tolist()}).encode(), _JSON)


def _read_instances(headers: Mapping[str, str], body: bytes) -> Said:
    version = int(headers["X-Model-Version"].split("/")[1])
    return version, np.array(json.loads(body)["predictions"])


def _v2(protocol: Protocol) -> Way:
    def write(images: Array) -> Body:
        return protocol.write(images.reshape(len(images), -1))

    def read(headers: Mapping[str, str], body: bytes) -> Said:
        length = headers.get("Inference-Header-Content-Length")
        document = json.loads(body[: int(length) if length else None])
        return int(document["model_version"]), protocol.read(headers, body)[1]

    return Way("/v2/models/mnist/infer", write, read)


PREDICT_JSON = Way("/predict", PREDICT.write, _read_predict)
PREDICT_OCTETS = Way("/predict", _write_octets, _read_predict)
WAYS = (
    PREDICT_JSON,
    PREDICT_OCTETS,
    Way("/predict", _write_npy, _read_predict),
    Way("/v1/models/mnist:predict", _write_instances, _read_instances),
    Way("/invocations", _write_instances, _read_instances),
    _v2(V2_JSON),
    _v2(V2_BINARY),
)
# Of one image, which is to look like a digit.
PICTURE = Way("/predict", _write_png, _read_predict)

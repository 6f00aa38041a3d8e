"""Versions of a model that experiments publish, and checks of what the service returns."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nncore import FCModel, scale_pixels
from nncore.types import Array
from tests.support.load import NO_RESPONSE, Reply, Request
from tests.support.models import publish
from tests.support.pictures import encode
from tests.support.processes import peak_megabytes
from tests.support.server import JSON, ROOT, Service

MAX_WORKER_MEGABYTES = 200
RIGHT_CLOSED = "responses, all right; sent while the server closed the connection"
_SHAPE, _HIDDEN, _CLASSES = (28, 28), (16,), 10
_TOLERANCE = 1e-6
_BINARY = "Inference-Header-Content-Length"


class Versions:
    """Publishes versions of `mnist`, each another network, and checks responses.

    Attributes:
        request: `POST /predict` with JSON; the response must be that of the version it names.
        requests: The same image in every protocol, and a digit in a PNG file.
    """

    def __init__(self, models: Path) -> None:
        self.models = models
        pixels = np.random.default_rng(0).integers(0, 256, (1, *_SHAPE)).astype(np.uint8)
        # Preprocessing removes noise from pictures, but keeps a digit of MNIST's form as it is.
        document = json.loads((ROOT / "examples" / "digit.json").read_bytes())
        digit = np.array([document["pixels"]], np.uint8)
        self._images = np.concatenate([pixels, digit])
        self._expected: dict[int, Array] = {}
        tensor = {"name": "images", "shape": [1, *_SHAPE], "datatype": "UINT8"}
        binary = tensor | {"parameters": {"binary_data_size": pixels.size}}
        head = _encode(inputs=[binary], parameters={"binary_data_output": True})
        scaled = _encode(instances=scale_pixels(pixels).tolist())
        png = encode(Image.fromarray(digit[0]))
        octets = {"Content-Type": "application/octet-stream"}
        infer = "/v2/models/mnist/infer"
        values = _encode(inputs=[tensor | {"data": pixels.ravel().tolist()}])
        bodies: list[tuple[str, bytes, Mapping[str, str]]] = [
            ("/predict", _encode(pixels=pixels.tolist()), JSON),
            ("/predict", pixels.tobytes(), octets),
            ("/predict", png, {"Content-Type": "image/png"}),
            ("/v1/models/mnist:predict", scaled, JSON),
            ("/invocations", scaled, JSON),
            (infer, values, JSON),
            (infer, head + pixels.tobytes(), octets | {_BINARY: str(len(head))}),
        ]
        self.requests = [
            Request(path, body, headers, partial(self._check, int(body == png)))
            for path, body, headers in bodies
        ]
        self.request = self.requests[0]

    def numbers(self) -> list[int]:
        """Return the versions on disk, in order."""
        return sorted(int(path.name) for path in self.models.glob("mnist/[1-9]*"))

    def publish(self) -> int:
        """Publish the next version; return its number."""
        number = 1 + max(self.numbers(), default=0)
        network = FCModel(_SHAPE, _HIDDEN, _CLASSES, rng=np.random.default_rng(number))
        # Before it can answer.
        self._expected[number] = network.predict(scale_pixels(self._images)).T
        published = publish(self.models, seed=number, hidden_sizes=_HIDDEN)
        assert published.manifest.version == number
        return number

    def _check(self, image: int, headers: Mapping[str, str], response: bytes) -> str | None:
        version, probabilities = _read(headers, response)
        expected = self._expected.get(version)
        if expected is None:
            return f"answered by version {version}, which was never published"
        if not np.abs(probabilities - expected[image]).max() <= _TOLERANCE:
            return f"not the probabilities of version {version}"
        return None


def _encode(**members: Any) -> bytes:
    return json.dumps(members).encode()


def _read(headers: Mapping[str, str], body: bytes) -> tuple[int, Array]:
    """Return the version and the probabilities of a response, in any protocol."""
    start = int(headers.get(_BINARY.lower(), len(body)))
    document = json.loads(body[:start])
    if "version" in document:
        return document["version"], np.array(document["predictions"][0]["probabilities"])
    if "predictions" in document:
        return int(headers["x-model-version"].split("/")[1]), np.array(document["predictions"][0])
    for output in document["outputs"]:
        end = start + output.get("parameters", {}).get("binary_data_size", 0)
        if output["name"] == "probabilities":
            values = output.get("data") or np.frombuffer(body[start:end], "<f4")
            return int(document["model_version"]), np.array(values)
        start = end
    raise ValueError("no probabilities")


def check_replies(replies: Sequence[Reply], *, reconnects: int = 0) -> str:
    """Assert that every request got a right response; return the counts.

    Some requests may have been sent on a connection that the server closed at the same moment, as
    at a restart; clients send these again.
    """
    bad = [reply for reply in replies if reply.fault]
    closed = [reply for reply in bad if reply.status == NO_RESPONSE and reply.reused]
    wrong = [reply for reply in bad if reply not in closed]
    assert not wrong, f"{len(wrong)} requests got no or wrong responses: {wrong[:3]}"
    assert len(closed) <= reconnects, f"{len(closed)} connections were lost: {closed[:3]}"
    right = sum(not reply.fault for reply in replies)
    assert right
    return f"{right:,}; {len(closed)}"


def check_workers(service: Service) -> str:
    """Assert that no worker used too much memory and the log is empty; return the peak."""
    peak = max(map(peak_megabytes, service.workers))
    assert peak <= MAX_WORKER_MEGABYTES
    assert service.log.read_text() == ""
    return f"{peak:.0f} MB"


def p99(replies: Sequence[Reply], start: float = 0, seconds: float = np.inf) -> float:
    """Return the 99th percentile, in milliseconds, of the requests due in some seconds."""
    times = [reply.seconds for reply in replies if start <= reply.due < start + seconds]
    assert times, "no requests were due"
    return 1e3 * float(np.percentile(times, 99))

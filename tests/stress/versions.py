"""Versions of a model that experiments publish, and the answers that each of them must give."""

import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nncore import FCModel, scale_pixels
from nncore.types import Array
from tests.support.load import NO_RESPONSE, NOT_CONNECTED, Reply, Request
from tests.support.models import publish
from tests.support.processes import peak_megabytes
from tests.support.server import JSON, ROOT, Service

MAX_WORKER_MEGABYTES = 200
_SHAPE = (28, 28)
_HIDDEN, _LABELS = (16,), tuple("0123456789")
_TOLERANCE = 1e-6
_BINARY = "Inference-Header-Content-Length"
# Returns which version gave which probabilities, `(batch, classes)`, by headers and body.
Reader = Callable[[Mapping[str, str], bytes], tuple[int, Array]]


class Versions:
    """Publishes versions of `mnist`, each another network, and checks responses.

    Args:
        models: The model repository.

    Attributes:
        models: The model repository.
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
        binary = json.dumps(
            {
                "inputs": [tensor | {"parameters": {"binary_data_size": pixels.size}}],
                "parameters": {"binary_data_output": True},
            }
        ).encode()
        scaled = {"instances": scale_pixels(pixels).tolist()}
        npy, png = io.BytesIO(), io.BytesIO()
        np.save(npy, pixels)
        Image.fromarray(digit[0]).save(png, "PNG")

        self.request = self._make("/predict", {"pixels": pixels.tolist()})
        infer = "/v2/models/mnist/infer"
        values = {"inputs": [tensor | {"data": pixels.ravel().tolist()}]}
        octets = {"Content-Type": "application/octet-stream"}
        head_length = octets | {_BINARY: str(len(binary))}
        self.requests = [
            self.request,
            self._make("/predict", pixels.tobytes(), octets),
            self._make("/predict", npy.getvalue(), {"Content-Type": "application/x-npy"}),
            self._make("/predict", png.getvalue(), {"Content-Type": "image/png"}, image=1),
            self._make("/v1/models/mnist:predict", scaled, read=_read_v1),
            self._make("/invocations", scaled, read=_read_v1),
            self._make(infer, values, read=_read_v2),
            self._make(infer, binary + pixels.tobytes(), head_length, _read_v2),
        ]

    @property
    def newest(self) -> int:
        """The number of the version that was published last; 0 before the first."""
        return max(self._expected, default=0)

    def publish(self) -> int:
        """Publish the next version; return its number."""
        present = (int(path.name) for path in self.models.glob("mnist/[1-9]*"))
        number = 1 + max(present, default=0)
        network = FCModel(_SHAPE, _HIDDEN, len(_LABELS), rng=np.random.default_rng(number))
        # Before it can answer.
        self._expected[number] = network.predict(scale_pixels(self._images)).T
        published = publish(self.models, seed=number, hidden_sizes=_HIDDEN)
        assert published.manifest.version == number
        return number

    def add_copy(self, number: int, of: int) -> None:
        """Expect of a version, which is not published here, the answers of another one."""
        self._expected[number] = self._expected[of]

    def remove_all_but(self, newest: int) -> None:
        """Remove all versions but the newest ones."""
        present = sorted(int(path.name) for path in self.models.glob("mnist/[1-9]*"))
        for number in present[:-newest]:
            shutil.rmtree(self.models / "mnist" / f"{number}")

    def _make(
        self,
        path: str,
        content: Any,
        headers: Mapping[str, str] = JSON,
        read: Reader | None = None,
        image: int = 0,
    ) -> Request:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return Request(path, body, headers, partial(self._check, read or _read_predict, image))

    def _check(
        self, read: Reader, image: int, headers: Mapping[str, str], response: bytes
    ) -> str | None:
        version, given = read(headers, response)
        expected = self._expected.get(version)
        if expected is None:
            return f"answered by version {version}, which was never published"
        if not np.abs(given - expected[image]).max() <= _TOLERANCE:
            return f"not the probabilities of version {version}"
        return None


def check_replies(replies: Sequence[Reply], *, reconnects: int = 0) -> str:
    """Assert that every request that had a connection got a right response.

    Args:
        replies: The outcomes of requests.
        reconnects: How many of them may have been sent on a connection that the server closed at
            the same moment, as at a restart; clients send these again.

    Returns:
        The counts, for the table.
    """
    bad = [reply for reply in replies if reply.fault and reply.status != NOT_CONNECTED]
    closed = [reply for reply in bad if reply.status == NO_RESPONSE and reply.reused]
    wrong = [reply for reply in bad if reply not in closed]
    assert not wrong, f"{len(wrong)} requests got no or wrong responses: {wrong[:3]}"
    assert len(closed) <= reconnects, f"{len(closed)} connections were lost: {closed[:3]}"
    right = sum(not reply.fault for reply in replies)
    assert right
    return f"{right:,}; {len(wrong)}; {len(closed)}"


RIGHT_WRONG_CLOSED = "responses right; wrong; sent while the server closed the connection"


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


def _read_predict(_: Mapping[str, str], body: bytes) -> tuple[int, Array]:
    document = json.loads(body)
    return document["version"], np.array(document["predictions"][0]["probabilities"])


def _read_v1(headers: Mapping[str, str], body: bytes) -> tuple[int, Array]:
    version = int(headers["x-model-version"].split("/")[1])
    return version, np.array(json.loads(body)["predictions"][0])


def _read_v2(headers: Mapping[str, str], body: bytes) -> tuple[int, Array]:
    length = int(headers.get(_BINARY.lower(), len(body)))
    document = json.loads(body[:length])
    start = length
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        if output["name"] == "probabilities":
            values = output.get("data") or np.frombuffer(body[start : start + size], "<f4")
            return int(document["model_version"]), np.array(values)
        start += size
    raise ValueError("no probabilities")

"""Versions that tests publish, and the responses that each of them must give."""

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.serving.client import Request
from benchmarks.serving.protocols import PREDICT, V2_BINARY, V2_JSON, Body, Protocol
from nncore import FCModel, scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array

_SHAPE = (28, 28)
_LABELS = tuple("0123456789")
_TOLERANCE = 1e-6
_EXAMPLE = Path(__file__).parents[2] / "examples" / "digit.json"
_JSON = {"Content-Type": "application/json"}
# Returns which version gave which probabilities, `(batch, classes)`, by headers and body.
Reader = Callable[[Mapping[str, str], bytes], tuple[int, Array]]


class Truth:
    """Publishes versions of `mnist`, each another network, and checks responses.

    Args:
        models: The model repository.
        images: How many images a request has.

    Attributes:
        request: `POST /predict` with JSON; the response must be that of the version it names.
        requests: The same images in every protocol, and a digit in a PNG file.
    """

    def __init__(self, models: Path, images: int = 1) -> None:
        self._repository = ModelRepository(models)
        pixels = np.random.default_rng(0).integers(0, 256, (images, *_SHAPE)).astype(np.uint8)
        # Preprocessing removes noise from pictures, but leaves a digit of MNIST's form as it is.
        digit = np.array([json.loads(_EXAMPLE.read_bytes())["pixels"]], np.uint8)
        self._images = np.concatenate([pixels, digit])
        self._expected: dict[int, Array] = {}
        scaled = json.dumps({"instances": scale_pixels(pixels).tolist()}).encode()
        npy, png = io.BytesIO(), io.BytesIO()
        np.save(npy, pixels)
        Image.fromarray(digit[0]).save(png, "PNG")
        flat = pixels.reshape(images, -1)
        octets = Body(pixels.tobytes(), {"Content-Type": "application/octet-stream"})
        asked, drawn = slice(images), slice(images, None)
        self.request = self._make("/predict", PREDICT.write(flat), _read_predict, asked)
        self.requests = [
            self.request,
            self._make("/predict", octets, _read_predict, asked),
            self._make("/predict", _body(npy, "application/x-npy"), _read_predict, asked),
            self._make("/v1/models/mnist:predict", Body(scaled, _JSON), _read_v1, asked),
            self._make("/invocations", Body(scaled, _JSON), _read_v1, asked),
            *(
                self._make(
                    "/v2/models/mnist/infer", protocol.write(flat), _read_v2(protocol), asked
                )
                for protocol in (V2_JSON, V2_BINARY)
            ),
            self._make("/predict", _body(png, "image/png"), _read_predict, drawn),
        ]

    @property
    def newest(self) -> int:
        """The number of the version that was published last; 0 before the first."""
        return max(self._expected, default=0)

    def publish(self) -> PublishedModel:
        """Publish the next version."""
        version = max(self._repository.versions("mnist"), default=0) + 1
        model = FCModel(_SHAPE, (16,), len(_LABELS), rng=np.random.default_rng(version))
        # Before it can answer.
        self._expected[version] = model.predict(scale_pixels(self._images)).T
        return self._repository.publish(
            "mnist",
            model,
            labels=_LABELS,
            probe_images=self._images[:1],
            provenance={},
            report={},
        )

    def add_copy(self, version: int, of: int) -> None:
        """Expect of a version, which is not published here, what another one gives."""
        self._expected[version] = self._expected[of]

    def remove_all_but(self, newest: int) -> None:
        """Remove all versions but the newest ones."""
        for version in sorted(self._repository.versions("mnist"))[:-newest]:
            shutil.rmtree(self._repository.root / "mnist" / str(version))

    def _make(self, path: str, body: Body, read: Reader, which: slice) -> Request:
        def check(headers: Mapping[str, str], response: bytes) -> str | None:
            version, given = read(headers, response)
            expected = self._expected.get(version)
            if expected is None:
                return f"answered by version {version}, which was never published"
            right = expected[which]
            if given.shape != right.shape or not np.abs(given - right).max() <= _TOLERANCE:
                return f"not the probabilities of version {version}"
            return None

        return Request(path, body, check)


def _body(file: io.BytesIO, content_type: str) -> Body:
    return Body(file.getvalue(), {"Content-Type": content_type})


def _read_predict(headers: Mapping[str, str], body: bytes) -> tuple[int, Array]:
    return json.loads(body)["version"], PREDICT.read(headers, body)[1]


def _read_v1(headers: Mapping[str, str], body: bytes) -> tuple[int, Array]:
    version = int(headers["x-model-version"].split("/")[1])
    return version, np.array(json.loads(body)["predictions"])


def _read_v2(protocol: Protocol) -> Reader:
    def read(headers: Mapping[str, str], body: bytes) -> tuple[int, Array]:
        length = headers.get("inference-header-content-length")
        document = json.loads(body[: int(length) if length else None])
        return int(document["model_version"]), protocol.read(headers, body)[1]

    return read

"""The inference pipeline that all protocols share: read the body, decode, predict, encode.

A request is decoded when the application is called, and predicted and encoded when its response
is requested. Requests that are decoded before the first of their responses is requested share
one forward pass.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import orjson
from flask import Response, request

from nncore.types import Array
from service.errors import too_large
from service.inputs.content_encoding import decompress
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry

# The WSGI environment's keys for the function that returns a request's real response, and for
# the `InferenceRecord` that it leaves.
FINISH = "nodestack.finish"
INFERENCE = "nodestack.inference"

# Per image, a forward pass takes 147 us for 1 image, 60 us for 16, 30 us for 64, 22 us for 256.
_MAX_SHARED_IMAGES = 64


@dataclass(frozen=True, slots=True)
class InferenceRecord:
    """The figures of one inference for the log and the metrics."""

    model: str
    version: int
    probabilities: Array  # float32 (batch, classes)
    decode_seconds: float  # from the body to the network's input
    predict_seconds: float  # of the forward pass, which other requests may share
    encode_seconds: float  # from the probabilities to the response


class _Batch:
    """The images of requests that are predicted in one forward pass."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.images = 0
        self.is_open = True
        self.seconds = 0.0
        self._parts: list[Array] = []
        self._probabilities: Array | None = None

    def add(self, images: Array) -> slice:
        """Add the images of a request; return where its probabilities will be."""
        self._parts.append(images)
        rows = slice(self.images, self.images + len(images))
        self.images += len(images)
        return rows

    def predict(self) -> Array:
        """Return the probabilities of all images; the first call computes them."""
        self.is_open = False
        if self._probabilities is None:
            started = perf_counter()
            images = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
            self._probabilities = self.model.predict(images)
            self._parts.clear()
            self.seconds = perf_counter() - started
        return self._probabilities


class Inference:
    """Answers requests for predictions by the models of a registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._local = threading.local()

    def answer(
        self,
        model: LoadedModel,
        decode: Callable[[bytes], Array],
        encode: Callable[[Array], Response],
    ) -> Response:
        """Decode the current request; leave the rest in its WSGI environment, under `FINISH`.

        Args:
            model: Used from start to end, even if a hot reload replaces it meanwhile.
            decode: The body to the network's input, float32 `(batch, pixels)` in [0, 1].
            encode: Probabilities, float32 `(batch, classes)`, to the response; it runs outside
                Flask's request context.

        Returns:
            A placeholder, which `service.middleware` replaces by what `encode` returns.
        """
        environ = request.environ
        body = read_body()
        started = perf_counter()
        images = decode(body)
        decode_seconds = perf_counter() - started
        batch = self._open_batch(model, len(images))
        rows = batch.add(images)

        def finish() -> Response:
            probabilities = batch.predict()[rows]
            predicted = perf_counter()
            response = encode(probabilities)
            environ[INFERENCE] = InferenceRecord(
                model.name,
                model.version,
                probabilities,
                decode_seconds=decode_seconds,
                predict_seconds=batch.seconds,
                encode_seconds=perf_counter() - predicted,
            )
            return response

        environ[FINISH] = finish
        return Response()

    def _open_batch(self, model: LoadedModel, images: int) -> _Batch:
        """Return this thread's batch for a request, a new one where it cannot join the last."""
        batch: _Batch | None = getattr(self._local, "batch", None)
        if (
            batch is None
            or batch.model is not model
            or not batch.is_open
            or batch.images + images > _MAX_SHARED_IMAGES
        ):
            batch = self._local.batch = _Batch(model)
        return batch


def json_response(document: Any, model: LoadedModel | None = None) -> Response:
    """Return a document, which may contain arrays, as JSON; a header names the model if given.

    A float32 has the fewest digits that give the same number.
    """
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = {"X-Model-Version": f"{model.name}/{model.version}"} if model else None
    return Response(body, headers=headers, content_type="application/json")


def read_body() -> bytes:
    """Return the body of the current request, without its content encoding."""
    environ, max_bytes = request.environ, request.max_content_length or 0
    if environ.get("wsgi.input_terminated"):
        # The server marks the end of the body; `get_data` takes 10 us more.
        body: bytes = environ["wsgi.input"].read(max_bytes + 1)
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    else:
        body = request.get_data(cache=False)
    encoding = environ.get("HTTP_CONTENT_ENCODING")
    return decompress(body, encoding, max_bytes) if encoding else body

"""The inference pipeline: which requests share a forward pass, and what each of them gets."""

from pathlib import Path

import numpy as np
import pytest
from flask import Flask, Response, request

from nncore.types import Array
from service.inference import FINISH, Inference
from service.models.loaded_model import LoadedModel
from service.models.registry import Registry
from service.observability.metrics import Metrics
from service.settings import Settings
from tests.support.models import publish

RNG = np.random.default_rng(0)


class Pipeline:
    """Begins and finishes requests whose bodies are float32 images."""

    def __init__(self, root: Path) -> None:
        published = publish(root)
        registry = Registry(Settings(model_dir=str(root)), Metrics())
        registry.refresh()
        self.inference = Inference(registry)
        self.model = registry.get()
        self.network = published.model
        self.batches: list[int] = []
        self.failure: Exception | None = None
        self._predict = self.model.predict
        self.spy = LoadedModel(**{**vars(self.model), "predict": self.predict})

    def predict(self, images: Array) -> Array:
        self.batches.append(len(images))
        if self.failure:
            raise self.failure
        return self._predict(images)

    def begin(self, images: Array) -> "Pending":
        with Flask("test").test_request_context("/", method="POST", data=images.tobytes()):
            self.inference.answer(self.spy, self._decode, lambda rows: Response(rows.tobytes()))
            return Pending(request.environ[FINISH])

    @staticmethod
    def _decode(body: bytes) -> Array:
        return np.frombuffer(body, np.float32).reshape(-1, 784)


class Pending:
    def __init__(self, finish: object) -> None:
        self._finish = finish

    def finish(self) -> Array:
        response: Response = self._finish()  # type: ignore[operator]
        return np.frombuffer(response.data, np.float32).reshape(-1, 10)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [([1, 1, 3], [5]), ([40, 40], [40, 40]), ([256, 1, 1], [256, 2]), ([1, 63, 1], [64, 1])],
)
def test_requests_begun_together_share_forward_passes(
    pipeline: Pipeline, sizes: list[int], batches: list[int]
) -> None:
    images = [RNG.random((size, 784), np.float32) for size in sizes]
    begun = [pipeline.begin(part) for part in images]
    for part, pending in zip(images, begun, strict=True):
        expected = pipeline.network.predict(part).T
        np.testing.assert_allclose(pending.finish(), expected, rtol=0, atol=1e-6)
    assert pipeline.batches == batches


def test_a_request_begun_after_the_forward_pass_gets_its_own(pipeline: Pipeline) -> None:
    images = RNG.random((2, 784), np.float32)
    first = pipeline.begin(images[:1])
    first.finish()
    second = pipeline.begin(images[1:])
    expected = pipeline.network.predict(images[1:]).T
    np.testing.assert_allclose(second.finish(), expected, rtol=0, atol=1e-6)


def test_a_failed_forward_pass_affects_no_later_request(pipeline: Pipeline) -> None:
    images = RNG.random((3, 784), np.float32)
    begun = [pipeline.begin(images[:1]), pipeline.begin(images[1:2])]
    pipeline.failure = MemoryError()
    for pending in begun:
        with pytest.raises(MemoryError):
            pending.finish()
    pipeline.failure = None
    expected = pipeline.network.predict(images[2:]).T
    np.testing.assert_allclose(pipeline.begin(images[2:]).finish(), expected, rtol=0, atol=1e-6)

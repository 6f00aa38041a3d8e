"""What the service has to answer, known from the versions themselves."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.chaos.clients import Question
from nncore import FCModel, ModelRepository, PublishedModel, scale_pixels
from nncore.types import Array

_SHAPE = (28, 28)
_LABELS = tuple("0123456789")
_TOLERANCE = 1e-6


class Truth:
    """Publishes versions of `mnist`, each another network, and knows what each of them answers.

    Args:
        models: The model repository.
        images: How many there are in the question.

    Attributes:
        question: Asks `POST /predict` for some images; the answer has to be what the version that
            it names gives.
    """

    def __init__(self, models: Path, images: int = 1) -> None:
        self._repository = ModelRepository(models)
        self._pixels = np.random.default_rng(0).integers(0, 256, (images, *_SHAPE)).astype(np.uint8)
        self._expected: dict[int, Array] = {}
        self.question = Question(
            "/predict",
            json.dumps({"pixels": self._pixels.tolist()}).encode(),
            {"Content-Type": "application/json"},
            self._find_fault,
        )

    def publish(self) -> PublishedModel:
        """Publish the next version."""
        version = max(self._repository.versions("mnist"), default=0) + 1
        model = FCModel(_SHAPE, (16,), len(_LABELS), rng=np.random.default_rng(version))
        # Known before it can answer.
        self._expected[version] = model.predict(scale_pixels(self._pixels)).T
        return self._repository.publish(
            "mnist",
            model,
            labels=_LABELS,
            probe_images=self._pixels[:1],
            provenance={},
            report={},
        )

    def _find_fault(self, _: Mapping[str, str], body: bytes) -> str | None:
        answer = json.loads(body)
        expected = self._expected.get(answer["version"])
        if expected is None:
            return f"answered by version {answer['version']}, which was never published"
        given = np.array([prediction["probabilities"] for prediction in answer["predictions"]])
        if given.shape != expected.shape or not np.abs(given - expected).max() <= _TOLERANCE:
            return f"not what version {answer['version']} gives"
        return None

"""What the service has to answer, known from the versions themselves."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.chaos.clients import Question
from benchmarks.chaos.protocols import PICTURE, PREDICT_JSON, PREDICT_OCTETS, WAYS, Way
from nncore import FCModel, ModelRepository, PublishedModel, scale_pixels
from nncore.types import Array

_SHAPE = (28, 28)
_LABELS = tuple("0123456789")
_TOLERANCE = 1e-6
_EXAMPLE = Path(__file__).parents[2] / "examples" / "digit.json"


class Truth:
    """Publishes versions of `mnist`, each another network, and knows what each of them answers.

    Args:
        models: The model repository.
        images: How many there are in the question.
        hidden_sizes: Of the networks; the smallest that tells one version from another by default.

    Attributes:
        question: Asks `POST /predict` for some images; the answer has to be what the version that
            it names gives.
        octets: Asks the same, a byte a pixel.
        questions: Ask the same in every protocol, and for a digit in an image file.
    """

    def __init__(self, models: Path, images: int = 1, hidden_sizes: Sequence[int] = (16,)) -> None:
        self._repository = ModelRepository(models)
        self._hidden_sizes = hidden_sizes
        pixels = np.random.default_rng(0).integers(0, 256, (images, *_SHAPE)).astype(np.uint8)
        # A picture's noise would be taken for the paper's grain.
        digit = np.array([json.loads(_EXAMPLE.read_bytes())["pixels"]], np.uint8)
        self._images = np.concatenate([pixels, digit])
        self._expected: dict[int, Array] = {}
        asked, drawn = slice(images), slice(images, None)
        self.question = self._ask(PREDICT_JSON, asked)
        self.octets = self._ask(PREDICT_OCTETS, asked)
        self.questions = [*(self._ask(way, asked) for way in WAYS), self._ask(PICTURE, drawn)]

    @property
    def newest(self) -> int:
        """The number of the version that was published last; 0 before the first."""
        return max(self._expected, default=0)

    def publish(self) -> PublishedModel:
        """Publish the next version."""
        version = max(self._repository.versions("mnist"), default=0) + 1
        rng = np.random.default_rng(version)
        model = FCModel(_SHAPE, self._hidden_sizes, len(_LABELS), rng=rng)
        # Known before it can answer.
        self._expected[version] = model.predict(scale_pixels(self._images)).T
        return self._repository.publish(
            "mnist",
            model,
            labels=_LABELS,
            probe_images=self._images[:1],
            provenance={},
            report={},
        )

    def know_copy(self, version: int, of: int) -> None:
        """Expect of a version, which is not published here, what another gives."""
        self._expected[version] = self._expected[of]

    def remove_all_but(self, newest: int) -> None:
        """Remove the versions but the newest so many."""
        for version in sorted(self._repository.versions("mnist"))[:-newest]:
            shutil.rmtree(self._repository.root / "mnist" / str(version))

    def _ask(self, way: Way, which: slice) -> Question:
        def find_fault(headers: Mapping[str, str], answer: bytes) -> str | None:
            version, given = way.read(headers, answer)
            expected = self._expected.get(version)
            if expected is None:
                return f"answered by version {version}, which was never published"
            right = expected[which]
            if given.shape != right.shape or not np.abs(given - right).max() <= _TOLERANCE:
                return f"not what version {version} gives"
            return None

        body = way.write(self._images[which])
        return Question(way.path, body.content, body.headers, find_fault)

"""What the document describes: the model that answers by default, the limits, an image to show."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import orjson
from PIL import Image

from nncore import MAX_PIXEL, scale_pixels
from nncore.types import Array
from service.models import Models
from service.serving import class_labels
from service.settings import Settings

_DIGIT = Path(__file__).with_name("digit.png")
_DIGIT_SHAPE = (28, 28)
_DIGIT_CLASS = 5


@dataclass(frozen=True)
class Subject:
    """A model's signature, the service's limits, and an example.

    Attributes:
        model: The model's name.
        version: Its version.
        input_shape: The shape of an image.
        labels: One a class, as answers show them.
        max_batch: The most images in a request.
        max_body_bytes: The largest body of a request.
        probabilities: What the model answers to the example, one a class.
        keyed: Whether requests need an API key.
        rate_limit: How often a client may ask, as in the settings; empty when as often as it likes.
    """

    model: str
    version: int
    input_shape: tuple[int, ...]
    labels: Sequence[int | str]
    max_batch: int
    max_body_bytes: int
    probabilities: list[float]
    keyed: bool = False
    rate_limit: str = ""

    @classmethod
    def of(cls, models: Models, settings: Settings) -> Self:
        """Describe the model that answers by default; MNIST's digits while there is none."""
        served = models.current.get(models.default_name)
        name, version = models.default_name, settings.model_version or 1
        shape: tuple[int, ...] = _DIGIT_SHAPE
        labels = class_labels([str(digit) for digit in range(10)])
        probabilities = [float(label == _DIGIT_CLASS) for label in labels]
        if served:
            version, labels = served.version, list(served.labels)
            shape = tuple(served.manifest.input_shape)
            answer = served.predict(scale_pixels(example_levels(shape).reshape(1, -1)))[0]
            probabilities = orjson.loads(
                orjson.dumps(np.ascontiguousarray(answer), option=orjson.OPT_SERIALIZE_NUMPY)
            )
        return cls(
            model=name,
            version=version,
            input_shape=shape,
            labels=labels,
            max_batch=settings.max_batch,
            max_body_bytes=settings.max_body_bytes,
            probabilities=probabilities,
            keyed=bool(settings.api_keys),
            rate_limit=settings.rate_limit,
        )

    @cached_property
    def levels(self) -> Array:
        """The example's grey levels, uint8, of `input_shape`."""
        return example_levels(self.input_shape)

    @property
    def image_size(self) -> int:
        """How many numbers an image has."""
        return self.levels.size

    @cached_property
    def values(self) -> list[float]:
        """The example as the network takes it, flat: levels / 255, rounded to be read easily."""
        return [round(level / MAX_PIXEL, 4) for level in self.levels.ravel().tolist()]

    @property
    def winner(self) -> int:
        """The class that the model gives to the example."""
        return int(np.argmax(self.probabilities))


def example_levels(shape: Sequence[int]) -> Array:
    """Give an image of a shape to show: a hand-drawn 5, or else a ramp; uint8."""
    if tuple(shape) == _DIGIT_SHAPE:
        with Image.open(_DIGIT) as picture:
            return np.asarray(picture)
    return np.linspace(0, MAX_PIXEL, int(np.prod(shape))).astype(np.uint8).reshape(shape)

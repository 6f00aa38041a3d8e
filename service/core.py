"""The core that every protocol shares: decode, predict, encode."""

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from nncore.types import Array
from service.admission import Admission
from service.bodies import read_body
from service.models import Models
from service.observation import Inference, observation
from service.serving import ServedModel
from service.turns import Turns

T = TypeVar("T")


class Core:
    """Answers requests for predictions.

    Args:
        models: Those that are served.
        admission: Refuses requests when there is too much to do.
        turns: Gives them their turn to compute.

    Attributes:
        models: Those that are served.
    """

    def __init__(self, models: Models, admission: Admission, turns: Turns) -> None:
        self.models = models
        self._admission = admission
        self._turns = turns

    def answer(
        self,
        model: ServedModel,
        decode: Callable[[bytes], Array],
        encode: Callable[[Array], T],
    ) -> T:
        """Read the body of the current request, decode, predict, encode.

        Args:
            model: Answers from start to end, even if another takes its place meanwhile.
            decode: The body to the network's input, float32 `(batch, pixels)` in [0, 1].
            encode: Probabilities, float32 `(batch, classes)`, to the answer.

        Returns:
            What `encode` does.

        Raises:
            RequestError: The body cannot be read (400, 413), there is too much to do (503), or
                what `decode` raises.
        """
        body = read_body()
        with self._admission.admit(len(body)):
            started = perf_counter()
            images = decode(body)  # may wait for a thread that decodes a large image
            decoded = perf_counter()
            with self._turns.take():
                probabilities = model.predict(images)
                predicted = perf_counter()
                answer = encode(probabilities)
                encoded = perf_counter()
        observation().inference = Inference(
            model.name,
            model.version,
            probabilities,
            decode_seconds=decoded - started,
            predict_seconds=predicted - decoded,
            encode_seconds=encoded - predicted,
        )
        return answer

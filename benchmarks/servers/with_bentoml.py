"""A BentoML service with onnxruntime."""

import os
from typing import Annotated, Any

import bentoml
import numpy as np
import onnxruntime
from bentoml.validators import DType


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Classifier:
    """Classifies images."""

    def __init__(self) -> None:
        """Load the model that MODEL names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, pixels: Annotated[np.ndarray, DType("float32")]) -> dict[str, Any]:
        """Return labels and probabilities."""
        (probabilities,) = self._session.run(None, {"pixels": pixels.reshape(-1, 28, 28) / 255})
        return {
            "labels": probabilities.argmax(axis=1).tolist(),
            "probabilities": probabilities.tolist(),
        }

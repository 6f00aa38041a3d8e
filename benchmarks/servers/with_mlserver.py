"""An MLServer runtime with onnxruntime."""

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):  # type: ignore[misc]
    """Classifies the images of one UINT8 tensor."""

    async def load(self) -> bool:
        """Load the model that MODEL names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return labels and probabilities as tensors."""
        images = NumpyCodec.decode_input(payload.inputs[0]).astype("float32") / 255
        (probabilities,) = self._session.run(None, {"pixels": images})
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("label", probabilities.argmax(axis=1)),
                NumpyCodec.encode_output("probabilities", probabilities),
            ],
        )

"""`python with_litserve.py PORT`: LitServe with onnxruntime."""

import os
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """Classifies images."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's own name
        """Load the model that MODEL names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return the network's input."""
        return np.array(request["pixels"], np.float32).reshape(-1, 28, 28) / 255

    def predict(self, x: Any) -> Any:
        """Return the probabilities."""
        return self._session.run(None, {"pixels": x})[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the response."""
        return {"labels": output.argmax(axis=1).tolist(), "probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(api_path="/predict"), accelerator="cpu", workers_per_device=2
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )

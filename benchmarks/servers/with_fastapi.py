"""`uvicorn with_fastapi:app`: FastAPI with onnxruntime."""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Predictions(BaseModel):  # type: ignore[misc]
    """The response: a label and probabilities for each image."""

    labels: list[int]
    probabilities: list[list[float]]


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
app = FastAPI()


@app.post("/predict")  # type: ignore[untyped-decorator]
async def predict(request: Request) -> Predictions:
    """Classify images; JSON without a pydantic model is faster, and so is the event loop."""
    pixels = (await request.json())["pixels"]
    images = np.array(pixels, np.float32).reshape(-1, 28, 28) / 255
    (probabilities,) = session.run(None, {"pixels": images})
    return Predictions(
        labels=probabilities.argmax(axis=1).tolist(), probabilities=probabilities.tolist()
    )

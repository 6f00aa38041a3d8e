"""Ask a running service about test images and compare its answers with the model's own.

    check_service.py URL MODEL_DIR MODEL_NAME

The images are MNIST's, from DATA_DIR, or synthetic where that is not set.
"""

import os
import sys
from pathlib import Path

import numpy as np
import requests

from nncore import scale_pixels
from nncore.repository import ModelRepository
from trainer.labelled_images import LabelledImages
from trainer.sources import load_dataset

SINGLES, BATCHES, BATCH_SIZE = 100, 10, 256
DEFAULT_RECIPE_ACCURACY = 0.993


def main(url: str, model_dir: str, model_name: str) -> None:
    """Fail unless every answer is the model's own, 90 % are right, and training was accurate."""
    images = test_images()
    published = ModelRepository(model_dir).load(model_name)
    model = published.model
    accuracy = published.manifest.provenance["metrics"]["test"]["accuracy"]
    print(f"version {published.manifest.version} of {model_name}: test accuracy {accuracy:.2%}")
    if model_name == "mnist" and accuracy < DEFAULT_RECIPE_ACCURACY:
        sys.exit(f"expected a test accuracy of at least {DEFAULT_RECIPE_ACCURACY:.2%}")
    parts = [slice(i, i + 1) for i in range(SINGLES)]
    parts += [slice(i * BATCH_SIZE, (i + 1) * BATCH_SIZE) for i in range(BATCHES)]
    answered, right, worst = 0, 0, 0.0
    with requests.Session() as session:
        for part in parts:
            response = session.post(
                f"{url}/predict", json={"pixels": images.images[part].tolist()}, timeout=10
            )
            response.raise_for_status()
            predictions = response.json()["predictions"]
            got = np.array([prediction["probabilities"] for prediction in predictions])
            expected = model.predict(scale_pixels(images.images[part])).T
            worst = max(worst, float(np.abs(got - expected).max()))
            labels = [prediction["label"] for prediction in predictions]
            right += int(np.sum(labels == images.labels[part]))
            answered += len(labels)
    print(f"{answered} images, {right} right, largest difference of a probability {worst:.1e}")
    if worst > 1e-5 or right < 0.9 * answered:
        sys.exit("expected the answers of the model, at least 90 % of them right")


def test_images() -> LabelledImages:
    """Load the images to ask about."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        data = load_dataset("synthetic", None, Path(), seed=1)
    else:
        data = load_dataset("mnist", Path(data_dir), Path(), seed=0)
    assert data.test is not None
    return data.test


if __name__ == "__main__":
    main(*sys.argv[1:])

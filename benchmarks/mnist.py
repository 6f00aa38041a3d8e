"""The real MNIST, which most benchmarks need."""

import os
import sys
from pathlib import Path

from trainer.labelled_images import LabelledImages
from trainer.mnist import load_mnist


def load_real_mnist() -> tuple[LabelledImages, LabelledImages]:
    """Return the training and test images of DATA_DIR; exits where it is not set."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    data = load_mnist(Path(data_dir), Path(), mirrors=())
    assert data.test is not None
    return data.train, data.test

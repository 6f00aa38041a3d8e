"""`python -m benchmarks.distortions`: the accuracy of the shipped model on distorted digits.

It needs MNIST's files in DATA_DIR and measures the test images, whole and distorted.
"""

import sys

from benchmarks.machine import ROOT, describe
from benchmarks.mnist import load_real_mnist
from benchmarks.report import arguments, publish, table
from nncore.repository import ModelRepository
from tests.support.distortions import DISTORTIONS, distorted_accuracy

LEAST_ACCURACY = 0.98


def main() -> int:
    """Publish the accuracies; fail where one is too low."""
    options = arguments(__doc__)
    model = ModelRepository(ROOT / "models").load("mnist").model
    _, test = load_real_mnist()
    accuracies = {name: distorted_accuracy(model, test, name) for name in DISTORTIONS}
    rows = [(name, f"{accuracy:.2%}") for name, accuracy in accuracies.items()]
    text = table(["test images", "accuracy"], rows)
    publish("distortions", text, describe(["pillow"]), write=options.write)
    return int(min(accuracies.values()) < LEAST_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())

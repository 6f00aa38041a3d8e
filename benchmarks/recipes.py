"""`python -m benchmarks.recipes`: what each recipe reaches on MNIST's test images, and how soon.

It needs MNIST's files in DATA_DIR. The seconds are those of the whole process, from its start.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nncore import ModelRepository, evaluate
from trainer.fit import as_dataset
from trainer.mnist import load_mnist

RUNS = {
    "default": ["--dataset", "mnist"],
    "notebook": ["--dataset", "mnist", "--recipe", "notebook"],
    "default, synthetic": ["--dataset", "synthetic"],
}


def main() -> None:
    """Print a table."""
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    test = load_mnist(Path(data_dir), Path(), mirrors=()).test
    assert test is not None
    print("| recipe | test accuracy | seconds |\n| --- | --- | --- |")
    for name, options in RUNS.items():
        with tempfile.TemporaryDirectory() as models:
            start = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "trainer", "--model-dir", models, *options],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            seconds = time.monotonic() - start
            (model_name,) = (path.name for path in Path(models).iterdir())
            model = ModelRepository(models).load(model_name).model
        accuracy = evaluate(model, as_dataset(test)).accuracy
        print(f"| {name} | {accuracy:.2%} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()

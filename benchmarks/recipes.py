"""`python -m benchmarks.recipes`: what the recipes reach on MNIST's test images, and how soon.

It needs MNIST's files in DATA_DIR. The seconds are those of the whole process, from its start. Each
recipe runs with several seeds, one after another; with `--best` also the long one, once.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nncore.repository import ModelRepository
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure
from trainer.mnist import load_mnist

RESULT = Path(__file__).with_name("results") / "recipes.md"
SEEDS = (0, 1, 2)
_POLL_SECONDS = 0.2


def main() -> None:
    """Print a table and write it to `benchmarks/results/recipes.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--best", action="store_true", help="also the recipe that takes long")
    options = parser.parse_args()
    data_dir = os.environ.get("DATA_DIR")
    if not data_dir:
        sys.exit("expected DATA_DIR to name a directory with MNIST's four IDX files, got none")
    test = load_mnist(Path(data_dir), Path(), mirrors=()).test
    assert test is not None

    runs = {
        "quick": (["--dataset", "mnist", "--recipe", "quick"], SEEDS),
        "default": (["--dataset", "mnist"], SEEDS),
        "notebook": (["--dataset", "mnist", "--recipe", "notebook"], SEEDS[:1]),
        "quick, synthetic digits": (["--dataset", "synthetic", "--recipe", "quick"], SEEDS[:1]),
    }
    if options.best:
        runs["best"] = (["--dataset", "mnist", "--recipe", "best"], SEEDS[:1])
    lines = [
        "| recipe | test accuracy, by seed | mean ± deviation | seconds | 98 % on validation after "
        "| memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines))
    for name, (arguments, seeds) in runs.items():
        results = [_run([*arguments, "--seed", str(seed)], test) for seed in seeds]
        lines.append(_row(name, results))
        print(lines[-1], flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")


def _run(arguments: list[str], test: LabelledImages) -> dict[str, Any]:
    """Run the trainer as a process of its own, and measure what it published."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder) / "metrics.jsonl"
        start = time.monotonic()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "trainer", "--model-dir", f"{folder}/models"),
                *("--checkpoint-dir", f"{folder}/checkpoints", "--metrics", str(metrics)),
                *arguments,
            ],
            stdout=subprocess.DEVNULL,
        )
        watch = _Watch(process, metrics, start)
        code = process.wait()
        seconds = time.monotonic() - start
        watch.join()
        if code:
            sys.exit(f"expected the trainer to end well, got exit code {code}")
        (model_folder,) = Path(folder, "models").iterdir()
        model = ModelRepository(model_folder.parent).load(model_folder.name).model
    accuracy = measure(answer_all(model.predict, test), test.labels)["accuracy"]
    return {
        "accuracy": accuracy,
        "seconds": seconds,
        "seconds_to_98": watch.seconds_to_98,
        "megabytes": watch.megabytes,
    }


class _Watch(threading.Thread):
    """Looks at a trainer as it runs: its resident memory, and when it reached 98 %."""

    def __init__(self, process: "subprocess.Popen[bytes]", metrics: Path, start: float) -> None:
        super().__init__()
        self.seconds_to_98: float | None = None
        self.megabytes = 0.0
        self._process = process
        self._metrics = metrics
        self._start = start
        super().start()

    def run(self) -> None:
        while self._process.poll() is None:
            self._look()
            time.sleep(_POLL_SECONDS)

    def _look(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.megabytes = int(line.split()[1]) / 1024
        if self.seconds_to_98 is None and self._metrics.exists():
            for line in self._metrics.read_text().splitlines():
                # The last one may be half written.
                if line.endswith("}") and json.loads(line)["validation_accuracy"] >= 0.98:
                    self.seconds_to_98 = time.monotonic() - self._start


def _row(name: str, results: list[dict[str, Any]]) -> str:
    accuracies = [result["accuracy"] for result in results]
    reached = [r["seconds_to_98"] for r in results if r["seconds_to_98"] is not None]
    spread = f" ± {stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
    return (
        f"| {name} | {', '.join(f'{accuracy:.2%}' for accuracy in accuracies)} "
        f"| {mean(accuracies):.2%}{spread} "
        f"| {mean(result['seconds'] for result in results):.0f} "
        f"| {f'{mean(reached):.1f} s' if reached else '-'} "
        f"| {max(result['megabytes'] for result in results):.0f} MB |"
    )


if __name__ == "__main__":
    main()

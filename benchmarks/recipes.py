"""`python -m benchmarks.recipes`: accuracy, time and memory of the recipes on MNIST.

It needs MNIST's files in DATA_DIR. The seconds are those of the whole process, from its start. Each
recipe runs with several seeds, one after another. `best` takes half an hour and is not run: its
figures are those that the shipped version records.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from benchmarks.machine import ROOT, describe, load_real_mnist
from benchmarks.report import arguments, publish, table
from nncore.repository import ModelRepository
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure

# Options of the trainer, and whether several seeds are run.
RUNS = {
    "quick": (["--dataset", "mnist", "--recipe", "quick"], True),
    "default": (["--dataset", "mnist"], True),
    "notebook": (["--dataset", "mnist", "--recipe", "notebook"], False),
    "quick, synthetic digits": (["--dataset", "synthetic", "--recipe", "quick"], False),
}


class Result(NamedTuple):
    """What a training run reached; `seconds_to_98` is None where it did not."""

    accuracy: float
    seconds: float
    seconds_to_98: float | None = None
    megabytes: float | None = None


def main() -> None:
    """Publish the figures."""
    options = arguments(__doc__, seeds=3)
    _, test = load_real_mnist()
    rows = []
    for name, (arguments_, has_seeds) in RUNS.items():
        seeds = range(options.seeds if has_seeds else 1)
        rows.append(_row(name, [_run([*arguments_, "--seed", str(seed)], test) for seed in seeds]))
        print(*rows[-1], file=sys.stderr)
    manifest = json.loads((ROOT / "models" / "mnist" / "1" / "model.json").read_text())
    shipped = Result(manifest["metrics"]["test"]["accuracy"], manifest["training"]["seconds"])
    rows.insert(2, _row("best", [shipped]))
    head = ["recipe", "test accuracy, by seed", "mean ± deviation", "seconds"]
    head += ["training to 98 % on validation", "memory"]
    publish("recipes", table(head, rows), describe(), write=options.write)


def _run(arguments: Sequence[str], test: LabelledImages) -> Result:
    """Run the trainer as a process, and measure the version that it publishes."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder, "metrics.jsonl")
        command = [sys.executable, "-m", "trainer", "--model-dir", f"{folder}/models"]
        command += ["--checkpoint-dir", f"{folder}/checkpoints", "--metrics", str(metrics)]
        start = time.monotonic()
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"the trainer failed with exit code {process.returncode}")
        epochs = [json.loads(line) for line in metrics.read_text().splitlines()]
        (model_folder,) = Path(folder, "models").iterdir()
        model = ModelRepository(model_folder.parent).load(model_folder.name).model
    accuracy = measure(answer_all(model.predict, test), test.labels)["accuracy"]
    to_98 = [epoch["seconds"] for epoch in epochs if epoch["validation_accuracy"] >= 0.98]
    return Result(accuracy, seconds, min(to_98, default=None), usage.ru_maxrss * 1024 / 1e6)


def _row(name: str, results: list[Result]) -> list[str]:
    accuracies = [result.accuracy for result in results]
    reached = [r.seconds_to_98 for r in results if r.seconds_to_98 is not None]
    sizes = [result.megabytes for result in results if result.megabytes is not None]
    spread = f" ± {stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
    return [
        name,
        ", ".join(f"{accuracy:.2%}" for accuracy in accuracies),
        f"{mean(accuracies):.2%}{spread}",
        f"{mean(result.seconds for result in results):,.0f}",
        f"{mean(reached):.1f} s" if reached else "-",
        f"{max(sizes):.0f} MB" if sizes else "-",
    ]


if __name__ == "__main__":
    main()

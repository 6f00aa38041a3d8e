"""`python -m benchmarks.recipes`: accuracy, time and memory of the recipes on MNIST.

It needs MNIST's files in DATA_DIR, and git's history. All seconds are counted from the start of the
process. `quick`, `default`, and `default` of an earlier commit alternate, one round for each seed.
The published versions are not trained: their figures are those that they record.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import mean, median, stdev
from typing import NamedTuple

from benchmarks.machine import BASELINE_COMMIT, ROOT, check_out_baseline, describe, load_real_mnist
from benchmarks.report import Goal, arguments, publish, table, verdicts
from nncore.repository import ModelRepository
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure

QUICK, DEFAULT, BASELINE = "quick", "default", f"default at {BASELINE_COMMIT}"
ALTERNATING = (QUICK, DEFAULT, BASELINE)  # with each seed; the others run once
_MNIST = ("--dataset", "mnist", "--recipe")
# The options of the trainer.
OPTIONS = {
    QUICK: (*_MNIST, "quick"),
    DEFAULT: (*_MNIST, "default"),
    BASELINE: (*_MNIST, "default"),
    "notebook": (*_MNIST, "notebook"),
    "quick, synthetic digits": ("--dataset", "synthetic", "--recipe", "quick"),
}


class Result(NamedTuple):
    """What a training run reached; `seconds_to_98` is infinite where it did not."""

    accuracy: float
    seconds: float
    seconds_to_98: float = inf
    megabytes: float | None = None


def main() -> None:
    """Publish the figures."""
    options = arguments(__doc__, seeds=3)
    _, test = load_real_mnist()
    results: dict[str, list[Result]] = {name: [] for name in OPTIONS}
    with tempfile.TemporaryDirectory() as folder:
        baseline = check_out_baseline(Path(folder, "source"))
        for seed in range(options.seeds):
            for name in OPTIONS if seed == 0 else ALTERNATING:
                source = baseline if name == BASELINE else ROOT
                result = _run(source, [*OPTIONS[name], "--seed", str(seed)], test)
                results[name].append(result)
                print(f"seed {seed}:", *_row(name, [result]), file=sys.stderr)
    rows = [_row(name, found) for name, found in (results | _published()).items()]
    head = ["recipe", "test accuracy, by seed", "mean ± deviation", "seconds"]
    text = table([*head, "98 % on validation after", "memory"], rows)
    publish("recipes", text, verdicts(_goals(results)), describe(), write=options.write)


def _run(source: Path, options: Sequence[str], test: LabelledImages) -> Result:
    """Run the trainer of a source folder, and measure the version that it publishes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trainer", "--model-dir", f"{folder}/models"]
        command += ["--checkpoint-dir", f"{folder}/checkpoints", "--metrics", "/dev/stdout"]
        command += ["--data-dir", str(Path(os.environ["DATA_DIR"]).resolve())]
        start = time.monotonic()
        process = subprocess.Popen(
            [*command, *options], cwd=source, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        seconds_to_98 = inf
        for line in process.stdout:  # log lines, and after each epoch one of JSON
            if line.startswith("{") and json.loads(line)["validation_accuracy"] >= 0.98:
                seconds_to_98 = min(seconds_to_98, time.monotonic() - start)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"the trainer failed with exit code {process.returncode}")
        (model_folder,) = Path(folder, "models").glob("[!.]*")  # without the lock file
        model = ModelRepository(model_folder.parent).load(model_folder.name).model
    accuracy = measure(answer_all(model.predict, test), test.labels)["accuracy"]
    return Result(accuracy, seconds, seconds_to_98, usage.ru_maxrss * 1024 / 1e6)


def _published() -> dict[str, list[Result]]:
    """Return the recorded results of the versions in the repository."""
    repository = ModelRepository(ROOT / "models")
    results = {}
    for version in repository.versions("mnist"):
        found = repository.load("mnist", version).manifest.provenance
        name = f"mnist/{version} ({found['recipe']['name']})"
        accuracy = found["metrics"]["test"]["accuracy"]
        results[name] = [Result(accuracy, found["training"]["seconds"])]
    return results


def _goals(results: dict[str, list[Result]]) -> list[Goal]:
    to_98 = median(result.seconds_to_98 for result in results[QUICK])
    accuracy = 100 * mean(result.accuracy for result in results[DEFAULT])
    pairs = zip(results[DEFAULT], results[BASELINE], strict=True)
    ratio = median(new.seconds / old.seconds for new, old in pairs)
    return [
        Goal(f"{QUICK}: seconds from process start to 98 % on validation", to_98, 5),
        Goal(f"{DEFAULT}: test accuracy in percent, mean of seeds", accuracy, 99.35, at_least=True),
        Goal(f"seconds: {DEFAULT} / {BASELINE}", ratio, 0.65),
    ]


def _row(name: str, results: list[Result]) -> list[str]:
    accuracies = [result.accuracy for result in results]
    to_98 = mean(result.seconds_to_98 for result in results)
    sizes = [result.megabytes for result in results if result.megabytes is not None]
    spread = f" ± {stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
    return [
        name,
        ", ".join(f"{accuracy:.2%}" for accuracy in accuracies),
        f"{mean(accuracies):.2%}{spread}",
        f"{mean(result.seconds for result in results):,.0f}",
        f"{to_98:.1f} s" if to_98 < inf else "-",
        f"{max(sizes):.0f} MB" if sizes else "-",
    ]


if __name__ == "__main__":
    main()

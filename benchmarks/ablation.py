"""`python -m benchmarks.ablation`: the effect of each part of the `default` recipe.

Each variant changes one thing, trains for fewer epochs, and is measured on validation images, as
they are and distorted. Each seed has its own split and initial weights, which all variants share:
the differences are those of pairs. It needs MNIST in DATA_DIR, and half an hour.
"""

import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from multiprocessing import get_context

import numpy as np

from benchmarks.distortions import DISTORTIONS
from benchmarks.machine import ONE_THREAD, describe, load_real_mnist
from benchmarks.report import arguments, publish, table
from nncore.types import Array
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.fit import fit
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all, measure
from trainer.memory import keep_freed_memory
from trainer.recipe import DEFAULT_RECIPE, RECIPES, Recipe
from trainer.training_state import TrainingState

VALIDATION_IMAGES = 10_000
DEFAULT = RECIPES[DEFAULT_RECIPE]
DEFORMATIONS = ("rotation", "scale", "shear", "shift", "elastic", "thickness", "noise")
VARIANTS = {
    "the default recipe": DEFAULT,
    "plain SGD": replace(DEFAULT, momentum=0, learning_rate=4 * DEFAULT.learning_rate),
    "constant learning rate": replace(DEFAULT, schedule="constant"),
    "no warm-up": replace(DEFAULT, warmup=0),
    "half the learning rate": replace(DEFAULT, learning_rate=DEFAULT.learning_rate / 2),
    "twice the learning rate": replace(DEFAULT, learning_rate=DEFAULT.learning_rate * 2),
    "no augmentation": replace(DEFAULT, augmentation=None),
} | {
    f"no {name}": replace(DEFAULT, augmentation=replace(DEFAULT_STRENGTH, **{name: 0}))
    for name in DEFORMATIONS
}
# The standard errors from 0 at which a difference is in bold: its t-test has p < 0.05 from 5 seeds.
_BOLD = 3


def main() -> None:
    """Publish the figures."""
    options = arguments(__doc__, epochs=12, seeds=5)
    os.environ |= ONE_THREAD  # of the processes, which import numpy after this
    spawn, cores = get_context("spawn"), len(os.sched_getaffinity(0))
    runs = [(name, seed, options.epochs) for seed in range(options.seeds) for name in VARIANTS]
    accuracies: dict[str, list[Array]] = {name: [] for name in VARIANTS}
    with ProcessPoolExecutor(cores, spawn, initializer=keep_freed_memory) as pool:
        for (name, seed, _), found in zip(runs, pool.map(_accuracies, runs), strict=True):
            accuracies[name].append(found)
            print(f"seed {seed}: {name}:", *map("{:.2f}".format, found), file=sys.stderr)

    (default, base), *others = ((name, np.array(rows)) for name, rows in accuracies.items())
    rows = [[default, *map("{:.2f}".format, base.mean(axis=0))]]
    rows += [[name, *_cells(found - base)] for name, found in others]
    publish(
        "ablation",
        f"Validation accuracy in percent, {VALIDATION_IMAGES:,} images held back of the training "
        f"images; {options.epochs} epochs. The rows below the first are differences from it in "
        f"percentage points: mean ± standard error of {options.seeds} pairs of runs, in bold from "
        f"{_BOLD} standard errors.",
        table(["variant", *DISTORTIONS, "mean of all"], rows),
        describe(["pillow"]),
        write=options.write,
    )


def _cells(differences: Array) -> Iterable[str]:
    """Return the mean and standard error of each column of `(seeds, columns)`."""
    errors = differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    for mean, error in zip(differences.mean(axis=0), errors, strict=True):
        text = f"{mean:+.2f} ± {error:.2f}"
        yield f"**{text}**" if abs(mean) >= _BOLD * error else text


def _accuracies(run: tuple[str, int, int]) -> Array:
    """Train a variant with a seed; return its accuracies on the distorted images, and their mean.

    They are percentages.
    """
    name, seed, epochs = run
    recipe: Recipe = replace(VARIANTS[name], epochs=epochs)
    rng = np.random.default_rng(seed)
    train, valid = load_real_mnist()[0].split(VALIDATION_IMAGES, rng)
    state = TrainingState.begin(recipe, train.images.shape[1:], 10, rng)
    with redirect_stdout(StringIO()):
        fit(state, recipe, train, valid)
    accuracies = []
    for distort in DISTORTIONS.values():
        distorted = LabelledImages(distort(valid.images), valid.labels)
        metrics = measure(answer_all(state.model.predict, distorted), valid.labels)
        accuracies.append(100 * metrics["accuracy"])
    return np.array([*accuracies, np.mean(accuracies)])


if __name__ == "__main__":
    main()

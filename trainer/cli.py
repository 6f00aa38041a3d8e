"""The command line of the job: options in, exit code out."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from nncore import RepositoryError
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.errors import TrainerError
from trainer.job import Job, run
from trainer.recipe import DEFAULT_RECIPE, RECIPES, SCHEDULES, Recipe
from trainer.signals import TerminatedError, raise_on_sigterm

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job as the command line asks.

    Returns:
        0 when a version was published; else nothing was, and it is 1 for a failure, 130 after
        Ctrl-C, 143 after SIGTERM. A wrong option exits with 2.
    """
    options = _parser(os.environ).parse_args(arguments)
    raise_on_sigterm()
    try:
        run(_job(options))
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was published", INTERRUPTED)
    except TerminatedError:
        return _fail("terminated; nothing was published", TERMINATED)
    except MemoryError:
        return _fail("error: expected memory enough for the data and the network, got too little")
    except (TrainerError, RepositoryError, OSError, ValueError) as error:
        return _fail(f"error: {error}")
    return 0


def _fail(message: str, code: int = FAILED) -> int:
    print(" ".join(message.splitlines()), file=sys.stderr)
    return code


def _job(options: argparse.Namespace) -> Job:
    overrides = {
        field.name: getattr(options, field.name)
        for field in fields(Recipe)
        if hasattr(options, field.name)
    }
    if "augmentation" in overrides:
        overrides["augmentation"] = DEFAULT_STRENGTH if overrides["augmentation"] else None
    return Job(
        dataset=options.dataset,
        data_dir=options.data_dir,
        cache_dir=options.cache_dir,
        model_dir=options.model_dir,
        model_name=options.model_name,
        num_classes=options.classes,
        recipe=replace(RECIPES[options.recipe], **overrides),
        recipe_name=options.recipe,
        seed=options.seed,
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train a network on a data set and publish it as the next version of a model.",
        epilog="Exit codes: 0 published, 1 failed, 2 wrong option, 130 Ctrl-C, 143 SIGTERM.",
        allow_abbrev=False,
    )

    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        default="auto",
        help="mnist; synthetic, which needs no network; auto (the default), which is mnist where "
        "it can be had and else synthetic; or the path of a directory of IDX files or of an .npz "
        "with images and labels",
    )
    data.add_argument(
        "--data-dir",
        type=Path,
        default=environ.get("DATA_DIR") or None,
        help="where MNIST's four IDX files lie, gzipped or not (environment: DATA_DIR)",
    )
    data.add_argument(
        "--cache-dir",
        type=Path,
        default=environ.get("CACHE_DIR") or user_cache_path("nodestack"),
        help="where downloads are kept (environment: CACHE_DIR; default: %(default)s)",
    )
    data.add_argument("--classes", type=int, help="how many classes; by default as many as labels")

    model = parser.add_argument_group("model")
    model.add_argument(
        "--model-dir",
        type=Path,
        default=environ.get("MODEL_DIR") or "models",
        help="the model repository to publish in (environment: MODEL_DIR; default: models)",
    )
    model.add_argument("--model-name", help="the model to publish; by default the data set's name")

    recipe = parser.add_argument_group(
        "recipe", "A named set of values, each of which may be overridden."
    )
    recipe.add_argument(
        "--recipe", choices=RECIPES, default=DEFAULT_RECIPE, help="the set (%(default)s)"
    )
    recipe.add_argument(
        "--seed", type=_natural, default=0, help="of everything random (%(default)s)"
    )
    for field in fields(Recipe):
        recipe.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            **_recipe_options[field.name],
        )
    return parser


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = text.split(",") if text else []
    if not all(size.isdecimal() for size in sizes):
        raise argparse.ArgumentTypeError(f"expected numbers with commas between, got {text!r}")
    return tuple(map(int, sizes))


_recipe_options: dict[str, dict[str, Any]] = {
    "hidden_sizes": {"type": _sizes, "metavar": "N,N", "help": "width of each hidden layer"},
    "learning_rate": {
        "type": float,
        "help": "size of the first step, for the loss summed over a batch",
    },
    "momentum": {"type": float, "help": "Nesterov's, 0 to less than 1; 0 is plain SGD"},
    "schedule": {"choices": SCHEDULES, "help": "how the learning rate changes"},
    "batch_size": {"type": int, "help": "images a step"},
    "epochs": {"type": int, "help": "passes through the training images"},
    "augmentation": {
        "action": argparse.BooleanOptionalAction,
        "help": "whether each epoch sees the images deformed anew",
    },
}

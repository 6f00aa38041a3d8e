"""The command line of the trainer."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from nncore.repository import RepositoryError
from nncore.repository.files import replace_durably
from trainer.augmentation import Strength
from trainer.config import read_recipe, to_toml
from trainer.errors import TrainerError
from trainer.evaluation import EvaluationJob, evaluate_version
from trainer.job import Job, run
from trainer.onnx_export import to_onnx
from trainer.progress import log
from trainer.recipe import DEFAULT_RECIPE, RECIPES, SCHEDULES, Recipe
from trainer.signals import TerminatedError, raise_on_sigterm
from trainer.versions import load_version

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Those of this process when None.
        command: The command of `nodestack` that the arguments belong to: train, evaluate or
            export. When None they are those of `python -m trainer`, which accepts all three.

    Returns:
        The exit code: 0 for success, 1 for a failure, 130 after Ctrl-C, 143 after SIGTERM. Invalid
        options exit with 2.
    """
    options = _parser(os.environ, command).parse_args(arguments)
    raise_on_sigterm()
    try:
        options.command(options)
    except KeyboardInterrupt:
        return _fail("interrupted" + options.stop_hint, INTERRUPTED)
    except TerminatedError:
        return _fail("terminated" + options.stop_hint, TERMINATED)
    except MemoryError:
        return _fail("error: out of memory: use a smaller data set or smaller --hidden-sizes")
    except (TrainerError, RepositoryError, OSError) as error:
        return _fail(f"error: {error}")
    return 0


def _fail(message: str, code: int = FAILED) -> int:
    print(" ".join(message.splitlines()), file=sys.stderr)
    return code


def _train(options: argparse.Namespace) -> None:
    recipe_name, recipe = _recipe(options)
    if options.print_config:
        print(to_toml(recipe_name, recipe), end="")
        return
    run(
        Job(
            dataset=options.dataset,
            data_dir=options.data_dir,
            cache_dir=options.cache_dir,
            checkpoint_dir=options.checkpoint_dir or options.cache_dir / "checkpoints",
            model_dir=options.model_dir,
            model_name=options.model_name,
            num_classes=options.classes,
            recipe=recipe,
            recipe_name=recipe_name,
            seed=options.seed,
            teachers=tuple(options.teacher),
            resume=options.resume,
            publish_best_on_stop=options.publish_best_on_stop,
            metrics_file=options.metrics,
            tensorboard_dir=options.tensorboard,
        )
    )


def _recipe(options: argparse.Namespace) -> tuple[str, Recipe]:
    """Return the name of the recipe, and the recipe with the values of file and options."""
    name, values = read_recipe(options.config) if options.config else (DEFAULT_RECIPE, {})
    name = options.recipe or name
    given, strength = _given(options, Recipe), _given(options, Strength)
    if options.augment is False:
        given["augmentation"] = False
    elif options.augment or strength:
        given["augmentation"] = strength
    return name, RECIPES[name].with_values(values).with_values(given)


def _given(options: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Return the fields of a dataclass that the command line sets."""
    return {
        field.name: getattr(options, field.name)
        for field in fields(settings)
        if hasattr(options, field.name)
    }


def _evaluate(options: argparse.Namespace) -> None:
    evaluate_version(
        EvaluationJob(
            version=options.version,
            dataset=options.dataset,
            data_dir=options.data_dir,
            cache_dir=options.cache_dir,
            seed=options.seed,
            report_dir=options.report,
        )
    )


def _export(options: argparse.Namespace) -> None:
    content = to_onnx(load_version(options.version))
    replace_durably(options.onnx, content)
    log(f"wrote {options.onnx}, {len(content):,} bytes")


def _parser(environ: Mapping[str, str], command: str | None) -> argparse.ArgumentParser:
    prog = f"nodestack {command}" if command else "python -m trainer"
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False)
    _COMMANDS[command or "train"](parser, environ)
    if command is None:
        commands = parser.add_subparsers(
            title="other commands", description="Each has its own --help.", metavar=""
        )
        for name, text in _OTHER_COMMANDS.items():
            other = commands.add_parser(name, help=text, allow_abbrev=False)
            _COMMANDS[name](other, environ)
    return parser


def _add_train(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.description = (
        "Train a network on a data set and publish it as the next version of a model."
    )
    parser.epilog = "Exit codes: 0 success, 1 failure, 2 invalid option, 130 Ctrl-C, 143 SIGTERM."
    parser.set_defaults(command=_train, stop_hint="; continue after the last epoch with --resume")
    _add_data_options(parser, environ, dataset="auto")
    _add_training_options(parser, environ)


def _add_evaluate(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.description = "Measure a published version on a data set's test images."
    parser.set_defaults(command=_evaluate, stop_hint="")
    _add_version(parser)
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write a report to a new folder"
    )
    _add_data_options(parser, environ, dataset=None)


def _add_export(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    del environ
    parser.description = "Convert a published version to another format."
    parser.set_defaults(command=_export, stop_hint="")
    _add_version(parser)
    parser.add_argument(
        "--onnx", type=Path, metavar="FILE", required=True, help="the file to write"
    )


_COMMANDS = {"train": _add_train, "evaluate": _add_evaluate, "export": _add_export}
_OTHER_COMMANDS = {
    "evaluate": "measure a published version on a data set",
    "export": "convert a published version to another format",
}


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "version", type=Path, help="for example models/mnist/1, or models/mnist for the newest"
    )


def _add_data_options(
    parser: argparse.ArgumentParser, environ: Mapping[str, str], dataset: str | None
) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        default=dataset,
        help="mnist; synthetic, which needs no download; auto: mnist if available, otherwise "
        "synthetic; or the path of a folder of IDX files or of an .npz with images and labels "
        f"(default: {dataset or 'the data set that the version was trained on'})",
    )
    data.add_argument(
        "--data-dir",
        type=Path,
        default=environ.get("DATA_DIR") or None,
        help="folder with MNIST's four IDX files, gzipped or not (environment: DATA_DIR)",
    )
    data.add_argument(
        "--cache-dir",
        type=Path,
        default=environ.get("CACHE_DIR") or user_cache_path("nodestack"),
        help="folder for downloads (environment: CACHE_DIR; default: %(default)s)",
    )
    data.add_argument("--seed", type=_natural, default=0, help="random seed (default: 0)")


def _add_training_options(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model-dir",
        type=Path,
        default=environ.get("MODEL_DIR") or "models",
        help="model repository to publish to (environment: MODEL_DIR; default: models)",
    )
    model.add_argument("--model-name", help="model to publish (default: the name of the data set)")
    model.add_argument("--classes", type=int, help="number of classes (default: highest label + 1)")

    run = parser.add_argument_group("run")
    run.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="VERSION",
        help="learn from the probabilities of a published version too, for example models/mnist/1; "
        "several are averaged",
    )
    run.add_argument(
        "--resume",
        action="store_true",
        help="continue from the last checkpoint of a run with the same data, recipe and seed; "
        "--epochs and --patience may differ",
    )
    run.add_argument(
        "--publish-best-on-stop",
        action="store_true",
        help="publish the best epoch so far if Ctrl-C or SIGTERM ends the run",
    )
    run.add_argument(
        "--checkpoint-dir",
        type=Path,
        default=environ.get("CHECKPOINT_DIR") or None,
        help="folder for checkpoints (environment: CHECKPOINT_DIR; "
        "default: checkpoints in the cache folder)",
    )
    run.add_argument(
        "--metrics", type=Path, metavar="FILE", help="write one line of JSON per epoch"
    )
    run.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="write TensorBoard events")

    recipe = parser.add_argument_group(
        "recipe", "A named set of hyperparameters; each option below overrides one."
    )
    recipe.add_argument(
        "--recipe", choices=RECIPES, help=f"default: that of --config, otherwise {DEFAULT_RECIPE}"
    )
    recipe.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with values; options override them"
    )
    recipe.add_argument(
        "--print-config", action="store_true", help="print the recipe as a TOML file and exit"
    )
    for name, option in _recipe_options.items():
        recipe.add_argument(f"--{name}", default=argparse.SUPPRESS, **option)

    augmentation = parser.add_argument_group(
        "augmentation", "Strength of the random deformations of the training images."
    )
    augmentation.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, help="default: by the recipe"
    )
    for name, text in _strength_options.items():
        augmentation.add_argument(
            f"--{name}", type=float, default=argparse.SUPPRESS, metavar="X", help=text
        )


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer of 0 or more, got {text!r}")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = text.split(",") if text else []
    if not all(size.isdecimal() for size in sizes):
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, got {text!r}")
    return tuple(map(int, sizes))


_recipe_options: dict[str, dict[str, Any]] = {
    "hidden-sizes": {"type": _sizes, "metavar": "N,N", "help": "width of each hidden layer"},
    "activation": {"metavar": "NAME", "help": "a class of nncore.activations: ReLU"},
    "learning-rate": {
        "type": float,
        "metavar": "X",
        "help": "highest learning rate, for the loss summed over a batch",
    },
    "momentum": {
        "type": float,
        "metavar": "X",
        "help": "Nesterov momentum, 0 to less than 1; 0 is plain SGD",
    },
    "schedule": {"choices": SCHEDULES, "help": "learning-rate schedule"},
    "warmup": {
        "type": float,
        "metavar": "X",
        "help": "share of the steps with a rising learning rate",
    },
    "batch-size": {"type": int, "metavar": "N", "help": "images per step"},
    "epochs": {"type": int, "metavar": "N", "help": "passes through the training images"},
    "patience": {
        "type": int,
        "metavar": "N",
        "help": "stop after N epochs without a lower validation loss",
    },
    "temperature": {
        "type": float,
        "metavar": "X",
        "help": "divides the logits of network and teachers",
    },
    "teacher-weight": {
        "type": float,
        "metavar": "X",
        "help": "weight of the teachers in the loss, 0 to 1; the labels have the rest",
    },
}
_strength_options = {
    "rotation": "degrees",
    "scale": "share of the size, along each axis",
    "shear": "columns per row",
    "shift": "pixels, along each axis",
    "elastic": "standard deviation of the elastic displacement, in pixels",
    "smoothness": "correlation length of the elastic displacement, in pixels",
    "thickness": "pixels that strokes grow or shrink on each side",
    "noise": "standard deviation, as a share of the range of grey levels",
}

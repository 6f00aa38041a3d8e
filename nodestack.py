"""The command `nodestack`, and `python -m nodestack`: serve, train, evaluate and export models."""

import argparse
import sys
from collections.abc import Sequence

_COMMANDS = {
    "serve": "answer predictions over HTTP from the model repository",
    "train": "train a network and publish it as a model's next version",
    "evaluate": "measure a published version on a data set's test images",
    "export": "convert a published version to another format (ONNX)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # The first argument is the command; the command parses the others.
    command = _parser().parse_args(given[:1]).command
    if command == "serve":
        return _serve(given[1:])
    return _train(command, given[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nodestack",
        description="A numpy neural network with an offline trainer and an inference service.",
        epilog="`nodestack COMMAND --help` explains the options of a command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in _COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser


def _serve(arguments: Sequence[str]) -> int:
    from service.__main__ import main as serve

    serve(arguments, prog="nodestack serve")
    return 0


def _train(command: str, arguments: Sequence[str]) -> int:
    try:
        from trainer.cli import main as train
    except ModuleNotFoundError as error:
        print(
            f"error: nodestack {command} needs the package {error.name}; install the extra "
            "'trainer': pip install '.[trainer]' in the folder of the project",
            file=sys.stderr,
        )
        return 1
    return train(arguments, command)


if __name__ == "__main__":
    sys.exit(main())

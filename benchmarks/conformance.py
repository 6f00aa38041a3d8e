"""`python -m benchmarks.conformance`: schemathesis sends the service what its document allows.

And what it forbids. With all checks on, it must find nothing. The model has few pixels: an image
of many would leave no room for anything else in a generated request.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.conformance_hooks import MOST_IMAGES, SHAPE
from tests.service.conftest import publish
from tests.service.server import ROOT, running

_EXAMPLES = 300


def main() -> int:
    """Run it; print what it found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=_EXAMPLES,
        help="how many requests to make up for each operation (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is made up")
    arguments = parser.parse_args()
    return run_schemathesis(arguments.examples, arguments.seed, capture=False).returncode


def run_schemathesis(
    examples: int, seed: int, *, capture: bool
) -> subprocess.CompletedProcess[str]:
    """Start the service and let schemathesis loose on it.

    Args:
        examples: How many requests to make up for each operation, beside those that follow from
            the document alone.
        seed: Of what is made up.
        capture: Whether to keep what it prints, instead of showing it.

    Returns:
        0 where it found nothing, and what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        publish(models, SHAPE, ("circle", "square", "star"))
        settings = {"WEB_CONCURRENCY": "1", "MAX_BATCH": str(MOST_IMAGES), "LOG_LEVEL": "warning"}
        with running(models, Path(folder) / "log", settings) as service:
            return subprocess.run(
                [
                    *(sys.executable, "-c", "from schemathesis.cli import schemathesis as s; s()"),
                    *("--config-file", str(ROOT / "benchmarks" / "conformance.toml")),
                    *("run", f"http://127.0.0.1:{service.port}/openapi.json", "--no-color"),
                    *("--checks", "all", "--continue-on-failure", "--generation-database", "none"),
                    *("--max-examples", str(examples), "--seed", str(seed)),
                ],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "SCHEMATHESIS_HOOKS": "benchmarks.conformance_hooks",
                },
                capture_output=capture,
                text=True,
                check=False,
            )


if __name__ == "__main__":
    sys.exit(main())

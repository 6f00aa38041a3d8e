"""`python -m benchmarks.conformance`: schemathesis sends valid and invalid requests to the service.

It generates them from the service's OpenAPI document, with all checks on, and must find nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.conformance_hooks import LABELS, MAX_BATCH, SHAPE
from tests.support.models import publish
from tests.support.server import ROOT, running

_EXAMPLES = 300


def main() -> int:
    """Run schemathesis; return its exit code, 0 where it found nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=_EXAMPLES,
        help="random requests per operation (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        publish(models, SHAPE, LABELS)
        settings = {"WEB_CONCURRENCY": "1", "MAX_BATCH": str(MAX_BATCH), "LOG_LEVEL": "warning"}
        with running(models, Path(folder) / "log", settings) as service:
            return subprocess.run(
                [
                    *(sys.executable, "-c", "from schemathesis.cli import schemathesis as s; s()"),
                    *("--config-file", str(ROOT / "benchmarks" / "conformance.toml")),
                    *("run", f"http://127.0.0.1:{service.port}/openapi.json", "--no-color"),
                    *("--checks", "all", "--continue-on-failure", "--generation-database", "none"),
                    *("--max-examples", str(arguments.examples), "--seed", str(arguments.seed)),
                ],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "SCHEMATHESIS_HOOKS": "benchmarks.conformance_hooks",
                },
                check=False,
            ).returncode


if __name__ == "__main__":
    sys.exit(main())

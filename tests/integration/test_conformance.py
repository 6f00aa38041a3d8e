"""The service answers generated requests to every route as its OpenAPI document says."""

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import HookContext
from schemathesis.core.parameters import ParameterLocation

from service.inputs.pictures import IMAGE_TYPES
from tests.support.models import publish
from tests.support.pictures import draw, encode
from tests.support.server import ROOT, running

EXAMPLES = 50  # per operation
# The default statuses, and those for a wrong content type, content encoding or size.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 406, 413, 415, 422, 428, "5xx"]
"""


@pytest.mark.slow
def test_conformance(tmp_path: Path) -> None:
    """A JSON Schema cannot express all that is invalid: the generated bodies may be rejected."""
    # An image of many pixels would leave no room in a generated request.
    publish(tmp_path / "models", (2, 3), ("circle", "square", "star"))
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    settings = {"WEB_CONCURRENCY": "1", "MAX_BATCH": "4", "LOG_LEVEL": "warning"}
    with running(tmp_path / "models", tmp_path / "log", settings) as service:
        result = subprocess.run(
            [
                *(sys.executable, "-c", "from schemathesis.cli import schemathesis as s; s()"),
                *("--config-file", str(configuration), "run", "--no-color", "--checks", "all"),
                *("--exclude-checks", "positive_data_acceptance"),
                *("--continue-on-failure", "--generation-database", "none", "--seed", "1"),
                *("--max-examples", str(EXAMPLES)),
                f"http://127.0.0.1:{service.port}/openapi.json",
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": __name__},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-1000:]


@schemathesis.hook
def before_call(_context: HookContext, case: Any, _kwargs: dict[str, Any]) -> None:
    """Let most paths be those of the model that exists."""
    random = np.random.default_rng(zlib.crc32(repr(case.body).encode()))
    if case.meta and not case.meta.is_negative_at(ParameterLocation.PATH):
        for name, value in {"name": "mnist", "version": 1}.items():
            if name in case.path_parameters and random.integers(8):
                case.path_parameters[name] = value


for content_type in (*IMAGE_TYPES, "application/x-npy"):
    schemathesis.openapi.media_type(content_type, st.binary() | st.just(encode(draw(40))))

"""Random requests, valid and invalid, get the responses that the document describes.

`python -m benchmarks.conformance` runs the same for longer and over a socket.
"""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode

from benchmarks.conformance_hooks import LABELS, MAX_BATCH, SHAPE
from service.settings import Settings
from tests.service.conftest import make_app
from tests.support.models import publish

EXAMPLES = 30  # per operation


@pytest.fixture
def api(tmp_path: Path) -> schemathesis.BaseSchema:
    publish(tmp_path, SHAPE, LABELS)
    service = Settings(model_dir=str(tmp_path), reload_seconds=0, max_batch=MAX_BATCH)
    return schemathesis.openapi.from_wsgi("/openapi.json", make_app(service))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_random_requests_conform(api: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    for result in api.include(method="POST").get_all_operations():
        assert isinstance(result, Ok), result

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(result.ok().as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate()

        check()

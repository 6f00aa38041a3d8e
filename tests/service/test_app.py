from threading import Event
from unittest.mock import Mock

import pytest

from service.app import run_every
from tests.support.server import DEADLINE_SECONDS


def test_a_failed_call_does_not_end_the_background_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Regression: one exception ended the thread that wrote the metrics for good."""
    called_again = Event()
    outcomes = Mock(side_effect=[MemoryError, None])

    def refresh() -> None:
        outcomes()
        called_again.set()
        Event().wait()

    run_every(0.001, refresh)
    assert called_again.wait(DEADLINE_SECONDS)
    assert "MemoryError" in caplog.text

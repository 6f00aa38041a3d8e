from unittest.mock import Mock

import pytest

from service import app
from tests.service.conftest import run_inline


def test_a_failed_call_does_not_end_the_background_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "Thread", run_inline)
    function = Mock(side_effect=[OSError, KeyboardInterrupt], __qualname__="refresh")
    with pytest.raises(KeyboardInterrupt):
        app.run_every(0, function)

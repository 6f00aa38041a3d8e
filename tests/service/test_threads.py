import threading

import pytest

from service.threads import call_aside


def test_what_a_function_returns() -> None:
    def name(*, end: str) -> str:
        return threading.current_thread().name + end

    assert call_aside(name, end="!") != name(end="!")


def test_an_error_is_its_handlers_matter_and_not_the_logs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        call_aside(int, "x")
    assert capsys.readouterr().err == ""

"""Progress bars need a terminal."""

import io
import sys

import pytest

from trainer.progress import progress_bar


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(100, "some-file", "B") as bar:
        bar.update(50)
        bar.refresh()
    assert ("some-file" in stream.getvalue()) == terminal
    assert terminal or stream.getvalue() == ""

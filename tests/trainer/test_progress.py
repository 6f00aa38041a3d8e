"""Log lines are flushed at once, and progress bars need a terminal."""

import io
import sys

import pytest

from trainer.progress import log, progress_bar


class Stream(io.StringIO):
    """A stream that keeps what it contained at the last flush."""

    flushed = ""
    terminal = False

    def flush(self) -> None:
        self.flushed = self.getvalue()

    def isatty(self) -> bool:
        return self.terminal


def test_a_line_is_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    log("epoch 1")
    assert stream.flushed == "epoch 1\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    stream = Stream()
    stream.terminal = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(100, "some-file", "B") as bar:
        bar.update(50)
        bar.refresh()
    assert ("some-file" in stream.getvalue()) == terminal
    assert terminal or stream.getvalue() == ""

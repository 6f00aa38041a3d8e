"""Lines come at once, and a bar is for a terminal only."""

import io
import sys

import pytest

from trainer.progress import log, progress_bar


class Stream(io.StringIO):
    """A stream that remembers what had been written when it was flushed."""

    flushed = ""
    terminal = False

    def flush(self) -> None:
        self.flushed = self.getvalue()

    def isatty(self) -> bool:
        return self.terminal


def test_a_line_is_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    log("epoch 1")
    assert stream.flushed == "epoch 1\n"


@pytest.mark.parametrize("total", [None, 100])
def test_a_bar_is_mute_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, total: int | None
) -> None:
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(total, "some-file", "B") as bar:
        bar.update(50)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("total", [None, 100])
def test_a_bar_shows_on_a_terminal_and_vanishes(
    monkeypatch: pytest.MonkeyPatch, total: int | None
) -> None:
    stream = Stream()
    stream.terminal = True
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(total, "some-file", "B") as bar:
        bar.update(50)
        bar.refresh()
    shown = stream.getvalue()
    assert "some-file" in shown
    assert "50.0" in shown
    assert shown.endswith("\r")
    assert "\n" not in shown

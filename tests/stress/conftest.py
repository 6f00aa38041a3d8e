"""The form of the experiments (long, or short with `SHORT=1`), their figures, and a model."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.machine import describe
from benchmarks.report import table
from tests.stress.versions import Versions
from tests.support.server import ROOT

Record = Callable[[str, object], None]
LONG = os.environ.get("SHORT", "") in ("", "0")
_DOCUMENT = ROOT / "docs" / "reliability.md"
_START, _END = "<!-- figures -->\n", "<!-- end of figures -->"
_figures: dict[str, dict[str, object]] = {}


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """A function that notes a figure of this experiment by name."""
    return _figures.setdefault(request.node.name, {}).__setitem__


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """A model repository with one version."""
    versions = Versions(tmp_path / "models")
    versions.publish()
    return versions


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures; the long form of all experiments writes them into the document."""
    if not _figures:
        return
    rows: list[tuple[str, str, object]] = []
    for test, figures in sorted(_figures.items()):
        names = [test.removeprefix("test_").replace("_", " ")] + [""] * len(figures)
        rows += [(n, what, figures[what]) for n, what in zip(names, figures, strict=False)]
    text = f"{table(['experiment', 'what', 'figure'], rows)}\n\n{describe(['gunicorn'])}\n"
    terminalreporter.write(f"\n{text}")
    passed = {Path(report.fspath).name for report in terminalreporter.stats.get("passed", [])}
    if LONG and passed == {path.name for path in Path(__file__).parent.glob("test_*.py")}:
        if {"failed", "deselected"} & terminalreporter.stats.keys():
            return
        before, _, rest = _DOCUMENT.read_text().partition(_START)
        _DOCUMENT.write_text(before + _START + text + _END + rest.partition(_END)[2])

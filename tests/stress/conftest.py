"""The form of the experiments (short or long), their figures, and a published model."""

import os
import platform
import re
import resource
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.stress.versions import Versions
from tests.support.server import ROOT

Record = Callable[[str, object], None]
DOCUMENT = ROOT / "docs" / "reliability.md"
START, END = "<!-- figures -->\n", "<!-- end of figures -->"
LONG = os.environ.get("SHORT", "") in ("", "0")
_OPEN_FILES = 4096
_figures: dict[str, dict[str, object]] = {}


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether the long form runs; `SHORT=1` selects the short one."""
    return LONG


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """A function that notes a figure of this experiment by name."""
    name = request.node.name.removeprefix("test_").replace("_", " ")
    figures = _figures.setdefault(name, {})
    return figures.__setitem__


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """A model repository with one version."""
    versions = Versions(tmp_path / "models")
    versions.publish()
    return versions


@pytest.fixture(autouse=True, scope="session")
def _many_open_files() -> Iterator[None]:
    """Allow this process and the servers as many connections as the experiments open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(before[0], min(_OPEN_FILES, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures; the long form of all experiments writes them into the document."""
    lines = ["| experiment | what | figure |", "| --- | --- | --- |"]
    for name, figures in _figures.items():
        names = [name] + [""] * len(figures)
        lines += [
            f"| {n} | {what} | {figures[what]} |" for n, what in zip(names, figures, strict=False)
        ]
    if len(lines) == 2:
        return
    table = "\n".join([*lines, "", _machine(), ""])
    terminalreporter.write(f"\n{table}")
    if LONG and not terminalreporter.stats.get("failed") and _all_selected(terminalreporter):
        before, _, rest = DOCUMENT.read_text().partition(START)
        DOCUMENT.write_text(before + START + table + END + rest.partition(END)[2])


def _all_selected(reporter: pytest.TerminalReporter) -> bool:
    return not reporter.stats.get("deselected") and {
        path.name for path in Path(__file__).parent.glob("test_*.py")
    } == {Path(report.fspath).name for report in reporter.stats.get("passed", [])}


def _machine() -> str:
    cpus = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{cpus[1] if cpus else platform.processor()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, gunicorn {version('gunicorn')}; "
        f"{datetime.now(UTC):%Y-%m-%d}."
    )

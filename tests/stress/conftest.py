"""The form of the experiments (short or long), their figures, and a published model."""

import os
import platform
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
    return _figures.setdefault(request.node.nodeid, {}).__setitem__


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
    for test, figures in sorted(_figures.items()):
        name = test.partition("::test_")[2].replace("_", " ")
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
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return (
        f"{names[0]}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"gunicorn {version('gunicorn')}; {datetime.now(UTC):%Y-%m-%d}."
    )

"""What every benchmark shares: its options, rounds, tables, verdicts, and docs/benchmarks.md."""

import argparse
import re
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.machine import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


class Rounds(list[dict[str, float]]):
    """The figures of each round, by contestant. All are measured in every round.

    Only figures of the same round are comparable: a ratio is the median of the rounds' ratios.
    """

    @property
    def names(self) -> list[str]:
        """The contestants."""
        return list(self[0])

    def median(self, name: str) -> float:
        """Return the median figure of a contestant."""
        return median(figures[name] for figures in self)

    def ratio(self, name: str, other: str) -> float:
        """Return the median ratio of a contestant's figures to another's."""
        return median(figures[name] / figures[other] for figures in self)


class Goal(NamedTuple):
    """A measured value and its limit."""

    what: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value is within its limit; NaN is not."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def verdicts(goals: Iterable[Goal]) -> str:
    """Return a table that says of each goal whether it holds."""
    rows = []
    for goal in goals:
        limit = f"{'≥' if goal.at_least else '≤'} {goal.limit:g}"
        rows.append((goal.what, limit, f"{goal.measured:.2f}", "yes" if goal.holds else "no"))
    return table(["goal", "limit", "measured", "holds"], rows)


def arguments(description: str | None, **defaults: int) -> argparse.Namespace:
    """Parse the command line: an option for each default, and `--write`."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    parser.add_argument("--write", action="store_true", help=f"write to docs/{PAGE.name}")
    return parser.parse_args()


def publish(section: str, *parts: str, write: bool) -> None:
    """Print paragraphs and tables; with `write`, also put them between a section's markers.

    The markers are `<!-- SECTION -->` and `<!-- end SECTION -->`.
    """
    text = "\n\n".join(part for part in parts if part)
    print(text)
    if write:
        begin, end = f"<!-- {section} -->", f"<!-- end {section} -->"
        page = PAGE.read_text()
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"expected {PAGE} to contain {begin} and {end} once each")
        pattern = f"{re.escape(begin)}.*{re.escape(end)}"
        new = re.sub(pattern, lambda _: f"{begin}\n\n{text}\n\n{end}", page, flags=re.DOTALL)
        PAGE.write_text(new)

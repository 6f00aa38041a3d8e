"""What an experiment gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Outcome:
    """What an experiment saw.

    Attributes:
        figures: The lines of the table: what was done or seen, and how much of it.
        failures: What did not hold, each in a sentence; none where all is well.
    """

    figures: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def expect(self, holds: bool, failure: str) -> None:
        """Note a failure unless something holds."""
        if not holds:
            self.failures.append(failure)


# Takes whether to run in full (or in the form for CI) and a folder to work in.
Experiment = Callable[[bool, Path], Outcome]


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Give a percentile in milliseconds; NaN of nothing."""
    return 1e3 * float(np.percentile(seconds, percent)) if seconds else float("nan")

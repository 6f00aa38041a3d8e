"""The outcome of an experiment: figures, and what does not hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.serving.client import NOT_CONNECTED, Reply
from benchmarks.serving.server import Server
from tests.support.processes import peak_megabytes

MAX_WORKER_MEGABYTES = 200


@dataclass
class Outcome:
    """What an experiment measured.

    Attributes:
        figures: The lines of the table: what was done or measured, and how much.
        failures: What does not hold, each in a sentence; empty where everything does.
    """

    figures: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def expect(self, holds: bool, failure: str) -> None:
        """Add a failure unless a condition holds."""
        if not holds:
            self.failures.append(failure)

    def expect_good(self, replies: Sequence[Reply], reconnects: int = 0) -> None:
        """Expect a right response to every request that had a connection.

        Args:
            replies: What became of the requests.
            reconnects: How many of them may have been sent on a connection that the server closed
                at the same moment, as at a restart; clients send these again.
        """
        bad = [reply for reply in replies if reply.fault and reply.status != NOT_CONNECTED]
        closed = [reply for reply in bad if reply.status == 0 and reply.reused]
        wrong = [reply for reply in bad if reply not in closed]
        self.expect(not wrong, f"{len(wrong)} requests failed or got wrong responses: {wrong[:1]}")
        self.expect(len(closed) <= reconnects, f"{len(closed)} connections were lost: {closed[:1]}")
        self.figures["right responses; wrong; sent while the server closed the connection"] = (
            f"{len(replies) - len(bad):,}; {len(wrong)}; {len(closed)}"
        )

    def expect_sound(self, server: Server) -> None:
        """Expect that no worker used too much memory and that the log has no errors."""
        peak = max(map(peak_megabytes, server.workers))
        self.figures["peak memory of a worker"] = f"{peak:.0f} MB"
        self.expect(peak <= MAX_WORKER_MEGABYTES, f"a worker used {peak:.0f} MB")
        log = server.log_text()
        self.expect(not log, f"the log contains {log[:500]!r}")


# Takes whether to run in full (or in the short form for CI) and a folder to work in.
Experiment = Callable[[bool, Path], Outcome]


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Return a percentile in milliseconds; NaN of nothing."""
    return 1e3 * float(np.percentile(seconds, percent)) if seconds else float("nan")

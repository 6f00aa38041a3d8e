"""What the job shows while it works: lines for a log, a bar for a person at a terminal."""

import sys
from typing import NoReturn

from tqdm import tqdm


def log(line: str) -> None:
    """Print a line above the bar, if there is one, and at once, so that a log is current."""
    tqdm.write(line)
    sys.stdout.flush()


def progress_bar(total: int | None, description: str, unit: str, done: int = 0) -> "tqdm[NoReturn]":
    """Make a bar on stderr that vanishes when it is done and is mute where there is no terminal.

    Args:
        total: How many units there are; None where that is not known.
        description: Stands before the bar.
        unit: "B" for bytes, say.
        done: Where it starts.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        unit_scale=True,
        leave=False,
        disable=None,
    )

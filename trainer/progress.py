"""Log lines and progress bars."""

import sys
from typing import NoReturn

from tqdm import tqdm


def log(line: str) -> None:
    """Print a line, above the progress bar if there is one, and flush it."""
    tqdm.write(line)
    sys.stdout.flush()


def progress_bar(total: int | None, description: str, unit: str, done: int = 0) -> "tqdm[NoReturn]":
    """Return a progress bar on stderr; it disappears at the end and is silent without a terminal.

    Args:
        total: The number of units; None if unknown.
        description: The text before the bar.
        unit: The name of a unit, for example "B" for bytes.
        done: The number of units at the start.
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

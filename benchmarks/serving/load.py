"""Load from outside: wrk for throughput, hey for latency at a fixed rate."""

import csv
import io
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.protocols import Body
from nncore.types import Array

_SCRIPT = Path(__file__).with_name("post.lua")


class LoadError(Exception):
    """A tool is missing, or not every answer was a good one."""


@dataclass(frozen=True)
class Answers:
    """What hey saw.

    Attributes:
        seconds: How long each answer took, `(requests,)`.
        statuses: The status of each, `(requests,)`.
        rate: Answers a second.
    """

    seconds: Array
    statuses: Array
    rate: float


def check_tools() -> None:
    """Check that the tools are installed.

    Raises:
        LoadError: They are not.
    """
    if missing := [tool for tool in ("wrk", "hey") if not shutil.which(tool)]:
        raise LoadError(f"expected {' and '.join(missing)}: apt-get install {' '.join(missing)}")


def throughput(url: str, body: Body, connections: int, seconds: int, folder: Path) -> float:
    """Give the requests a second that connections, each asking again once answered, get through.

    Raises:
        LoadError: A request failed.
    """
    content = folder / "body"
    content.write_bytes(body.content)
    headers = [f"{name}: {value}" for name, value in body.headers.items()]
    result = subprocess.run(
        [
            "wrk",
            *("--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", "10s", "--script", str(_SCRIPT)),
            *(part for header in headers for part in ("--header", header)),
            url,
        ],
        env={**os.environ, "BODY": str(content)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise LoadError(f"wrk failed: {(result.stderr or result.stdout).strip()}")
    summary = json.loads(result.stdout.splitlines()[-1])
    if summary["errors"] or not summary["requests"]:
        raise LoadError(f"{url}: {summary['errors']} of {summary['requests']} requests failed")
    rate: float = summary["requests"] / summary["seconds"]
    return rate


def answers(
    url: str, body: Body, connections: int, seconds: int, folder: Path, rate: float | None = None
) -> Answers:
    """Ask over so many connections, at a rate of requests a second or as often as possible."""
    content = folder / "body"
    content.write_bytes(body.content)
    limit = ["-q", f"{rate / connections:.6f}"] if rate else []
    result = subprocess.run(
        [
            *("hey", "-z", f"{seconds}s", "-c", str(connections), *limit, "-o", "csv"),
            *("-m", "POST", "-T", body.headers["Content-Type"], "-D", str(content), url),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    if not rows:
        raise LoadError(f"{url}: no answer")
    return Answers(
        np.array([float(row["response-time"]) for row in rows]),
        np.array([int(row["status-code"]) for row in rows]),
        len(rows) / seconds,
    )

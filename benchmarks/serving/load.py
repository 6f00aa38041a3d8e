"""wrk, which generates load in a closed loop with little CPU time of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving.protocols import Body

_SCRIPT = Path(__file__).with_name("post.lua")


class LoadError(Exception):
    """wrk is missing, or a request failed."""


class Throughput(NamedTuple):
    """What wrk counted."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def throughput(url: str, body: Body, connections: int, seconds: float, folder: Path) -> Throughput:
    """Send a request again and again over some connections.

    Raises:
        LoadError: wrk is not installed, or a request failed.
    """
    if not shutil.which("wrk"):
        raise LoadError("expected wrk: apt-get install wrk")
    content = folder / "body"
    content.write_bytes(body.content)
    headers = [f"{name}: {value}" for name, value in body.headers.items()]
    result = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds:.0f}s", "--timeout", "10s", "--script", str(_SCRIPT)),
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
    return Throughput(summary["requests"], summary["seconds"])

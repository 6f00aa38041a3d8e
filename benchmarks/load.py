"""wrk, which generates load in a closed loop with little CPU time of its own.

Load at a fixed rate comes from `tests.support.load`.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.protocols import Body
from tests.support.processes import cpu_seconds
from tests.support.server import Service

_SCRIPT = Path(__file__).with_name("post.lua")


class LoadError(Exception):
    """wrk is missing, or a request failed."""


class Throughput(NamedTuple):
    """Requests per second, and the CPU time of all workers per request."""

    rate: float
    cpu_us: float


def closed_loop(
    server: Service, path: str, body: Body, connections: int, seconds: int
) -> Throughput:
    """POST a body again and again; each connection sends as soon as it has the last response.

    Raises:
        LoadError: wrk is not installed, or a request failed.
    """
    if not shutil.which("wrk"):
        raise LoadError("expected wrk: apt-get install wrk")
    headers = [part for name in body.headers for part in ("-H", f"{name}: {body.headers[name]}")]
    workers = server.workers
    before = sum(map(cpu_seconds, workers))
    with tempfile.NamedTemporaryFile() as file:
        file.write(body.content)
        file.flush()
        result = subprocess.run(
            [
                *("wrk", "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(_SCRIPT)),
                *headers,
                f"http://127.0.0.1:{server.port}{path}",
            ],
            env={**os.environ, "BODY": file.name},
            capture_output=True,
            text=True,
            check=False,
        )
    spent = sum(map(cpu_seconds, workers)) - before
    if result.returncode:
        raise LoadError(f"wrk failed: {(result.stderr or result.stdout).strip()}")
    found = json.loads(result.stdout.splitlines()[-1])
    requests = found["requests"]
    if found["errors"] or not requests:
        raise LoadError(f"{path}: {requests} responses and {found['errors']} errors in {seconds} s")
    return Throughput(requests / found["seconds"], 1e6 * spent / requests)

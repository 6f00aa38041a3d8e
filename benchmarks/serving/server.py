"""A server as processes of its own: started, asked, measured, stopped."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.serving.protocols import Body

ROOT = Path(__file__).parents[2]
WORKERS = 2
_START_SECONDS = 60
_STOP_SECONDS = 10


class ServerError(Exception):
    """A server does not start, or does not answer as it should."""


class Server:
    """A running server; a context manager that ends it with all its processes.

    Args:
        command: Starts it; `{port}` stands for the port.
        log: What it prints.
        variables: Its environment, on top of this process's.
    """

    def __init__(self, command: Sequence[str], log: Path, variables: Mapping[str, str]) -> None:
        self.port = free_port()
        self._log = log
        self._started = time.perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                cwd=ROOT,
                env={
                    **os.environ,
                    # A worker for each core, and no threads beside it.
                    "OMP_NUM_THREADS": "1",
                    "OPENBLAS_NUM_THREADS": "1",
                    **{name: value.format(port=self.port) for name, value in variables.items()},
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):  # some leave children behind
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ask(self, path: str, body: Body | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """Send a POST with a body, a GET without one, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_STOP_SECONDS)
        try:
            if body:
                connection.request("POST", path, body.content, dict(body.headers))
            else:
                connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def wait_for(self, path: str, body: Body | None = None) -> float:
        """Wait until it answers with 200; give the seconds since its start.

        Raises:
            ServerError: It ends, or takes too long.
        """
        answer: Any = "no connection"
        while time.perf_counter() - self._started < _START_SECONDS:
            if self._process.poll() is not None:
                break
            with suppress(OSError, http.client.HTTPException):
                status, _, answer = self.ask(path, body)
                if status == http.HTTPStatus.OK:
                    return time.perf_counter() - self._started
            time.sleep(0.005)
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        raise ServerError(f"it did not start: {answer!r:.200} {last}")

    def worker_megabytes(self) -> list[float]:
        """Give the resident memory of each child of the first process."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [_resident_kilobytes(int(child)) * 1024 / 1e6 for child in children]


def free_port() -> int:
    """Give a port of the loopback interface that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _resident_kilobytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0

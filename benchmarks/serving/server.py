"""A server in processes of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.serving.protocols import Body
from tests.support.processes import children

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 20
# One worker per core, and no threads beside it.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ServerError(Exception):
    """A server does not start, or does not answer as expected."""


class Server:
    """A running server; a context manager that stops it with all its processes.

    Args:
        command: Starts it; `{port}` stands for the port.
        log: The file for its output.
        variables: Its environment variables, on top of this process's.
        folder: Its working directory.

    Attributes:
        port: The port on the loopback interface.
        pid: The id of its first process.
    """

    def __init__(
        self, command: Sequence[str], log: Path, variables: Mapping[str, str], folder: Path = ROOT
    ) -> None:
        self.port = free_port()
        self._log = log
        self._started = time.perf_counter()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                cwd=folder,
                env={
                    **os.environ,
                    **ONE_THREAD,
                    **{name: value.format(port=self.port) for name, value in variables.items()},
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(TIMEOUT_SECONDS)
        with suppress(ProcessLookupError):  # some servers leave children behind
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def send(self, path: str, body: Body | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """Send a POST with a body, a GET without one, on a new connection.

        Returns:
            Status, headers by their names in lower case, body.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            if body:
                connection.request("POST", path, body.content, dict(body.headers))
            else:
                connection.request("GET", path)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def wait_for(self, path: str, body: Body | None = None) -> float:
        """Wait until a request is answered with 200; return the seconds since the start.

        Raises:
            ServerError: The server ends, or takes too long.
        """
        response: Any = "no connection"
        while time.perf_counter() - self._started < 3 * TIMEOUT_SECONDS:
            if self.process.poll() is not None:
                break
            with suppress(OSError, http.client.HTTPException):
                status, _, response = self.send(path, body)
                if status == http.HTTPStatus.OK:
                    return time.perf_counter() - self._started
            time.sleep(0.005)
        last = self.log_text().strip().splitlines()[-1:]
        raise ServerError(f"the server did not start: {response!r:.200} {last}")

    def log_text(self) -> str:
        """Return its output so far."""
        return self._log.read_text(errors="replace")

    @property
    def workers(self) -> list[int]:
        """The ids of its worker processes, or of its only process."""
        return children(self.pid) or [self.pid]


def serve(
    folder: Path, models: Path = ROOT / "models", workers: int = 2, **settings: str
) -> Server:
    """Start Nodestack with a worker count and other settings, and wait for its workers.

    Args:
        folder: Its log goes there.
        models: The model repository.
        workers: Worker processes.
        settings: Environment variables.
    """
    variables = {
        "PORT": "{port}",
        "WEB_CONCURRENCY": str(workers),
        "MODEL_DIR": str(models),
        "LOG_LEVEL": "warning",
        **settings,
    }
    server = Server([sys.executable, "-m", "service"], folder / "log", variables)
    try:
        server.wait_for("/health/ready")
        wait_until(lambda: len(children(server.pid)) == workers, "the workers")
    except BaseException:
        server.__exit__()
        raise
    return server


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds.

    Raises:
        ServerError: It does not within the time limit.
    """
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise ServerError(f"waited {TIMEOUT_SECONDS} s in vain for {what}")
        time.sleep(0.02)


def free_port() -> int:
    """Return an unused port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port

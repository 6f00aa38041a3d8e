"""Servers as processes: the service and, for benchmarks, any other HTTP server."""

import errno
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import children

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "service")
MAX_BODY_BYTES = 2**20
DEADLINE_SECONDS = 20
JSON = {"Content-Type": "application/json"}


class ServerError(AssertionError):
    """A server does not start, or a condition does not hold in time."""


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS
) -> float:
    """Wait until a condition holds; return the seconds, or raise ServerError at the limit."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() > start + seconds:
            raise ServerError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - start


@dataclass(frozen=True)
class Service:
    """A running server: its first process, its port on the loopback interface, its output."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers, or of the only process."""
        return children(self.pid) or [self.pid]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)

    def open_socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)

    def send(
        self, path: str, content: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a GET or, with content, a POST; return status, headers (in lower case), body."""
        method, headers = ("GET", {}) if content is None else ("POST", headers)
        with closing(self.connect()) as connection:
            connection.request(method, path, content, dict(headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()

    def ask(self, path: str, document: Any = None) -> tuple[int, dict[str, Any]]:
        """Send a document, or a GET without one; return the status and the response's JSON."""
        content = None if document is None else json.dumps(document).encode()
        status, _, body = self.send(path, content)
        return status, json.loads(body)

    def answers(
        self, path: str, content: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> bool:
        """Return whether a request gets 200; raise ServerError where the process has ended."""
        if self.process.poll() is not None:
            raise ServerError(f"the server has ended: {self.log.read_text(errors='replace')}")
        with suppress(OSError, http.client.HTTPException):
            return self.send(path, content, headers)[0] == http.HTTPStatus.OK
        return False

    def refuses_connections(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == errno.ECONNREFUSED


@contextmanager
def launched(
    command: Sequence[str], log: Path, variables: Mapping[str, str], folder: Path = ROOT
) -> Iterator[Service]:
    """Start a server, and stop it with all its processes; does not wait until it answers.

    `{port}` in the command and in the environment variables stands for an unused port.
    """
    port = free_port()
    own = {name: value.replace("{port}", str(port)) for name, value in variables.items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            cwd=folder,
            env={**os.environ, **own},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Service(process, port, log)
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        finally:
            with suppress(ProcessLookupError):  # some servers leave children behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(model_dir: Path, log: Path, environment: Mapping[str, str]) -> Iterator[Service]:
    """Start the service with small bodies, and wait until it is live."""
    small = {"PORT": "{port}", "MODEL_DIR": str(model_dir), "MAX_BODY_BYTES": f"{MAX_BODY_BYTES}"}
    with launched(COMMAND, log, small | dict(environment)) as service:
        wait_until(lambda: service.answers("/health/live"), "the service is live")
        yield service


@contextmanager
def serve(
    folder: Path, models: Path = ROOT / "models", workers: int = 2, **settings: str
) -> Iterator[Service]:
    """Start the service, with its log in a folder, and wait until all workers are ready."""
    variables = {"PORT": "{port}", "MODEL_DIR": str(models), "WEB_CONCURRENCY": str(workers)}
    variables["LOG_LEVEL"] = "warning"
    with launched(COMMAND, folder / "log", variables | settings) as service:
        wait_until(lambda: service.answers("/health/ready"), "the service is ready")
        wait_until(lambda: len(children(service.pid)) == workers, "all workers run")
        yield service


def free_port() -> int:
    """Return an unused port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port

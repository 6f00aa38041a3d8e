"""Servers as processes: the service and, for benchmarks, any other HTTP server."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
    """Wait until a condition holds; return the seconds that it took.

    Raises:
        ServerError: It does not hold within the time limit.
    """
    start = time.monotonic()
    while not condition():
        if time.monotonic() > start + seconds:
            raise ServerError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - start


class Service:
    """A running server.

    Attributes:
        process: Its first process.
        port: The port on the loopback interface.
        log: The file with its output.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

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
        """Send a GET or, with content, a POST on a new connection.

        Returns:
            Status, headers by their names in lower case, body.
        """
        connection = self.connect()
        try:
            if content is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, content, dict(headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def ask(self, path: str, document: Any = None) -> tuple[int, dict[str, Any]]:
        """Send a GET or, with a document, a POST; return the status and the JSON of the answer."""
        content = None if document is None else json.dumps(document).encode()
        status, _, body = self.send(path, content)
        return status, json.loads(body)

    def answers(
        self, path: str, content: bytes | None = None, headers: Mapping[str, str] = JSON
    ) -> bool:
        """Return whether a request gets 200.

        Raises:
            ServerError: The process has ended.
        """
        if self.process.poll() is not None:
            raise ServerError(f"the server has ended: {self.log.read_text(errors='replace')}")
        with suppress(OSError, http.client.HTTPException):
            return self.send(path, content, headers)[0] == http.HTTPStatus.OK
        return False

    def is_live(self) -> bool:
        return self.answers("/health/live")

    def refuses_connections(self) -> bool:
        try:
            self.open_socket().close()
        except ConnectionRefusedError:
            return True
        return False


@contextmanager
def launched(
    command: Sequence[str], log: Path, variables: Mapping[str, str], folder: Path = ROOT
) -> Iterator[Service]:
    """Start a server, and stop it with all its processes; does not wait until it answers.

    Args:
        command: Starts it.
        log: The file for its output.
        variables: Environment variables on top of this process's; `{port}`, here and in the
            command, stands for the port.
        folder: Its working directory.
    """
    port = free_port()

    def fill(text: str) -> str:
        return text.replace("{port}", str(port))

    with log.open("wb") as output:
        process = subprocess.Popen(
            [fill(part) for part in command],
            cwd=folder,
            env={**os.environ, **{name: fill(value) for name, value in variables.items()}},
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
    variables = {
        "PORT": "{port}",
        "MODEL_DIR": str(model_dir),
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        **environment,
    }
    with launched(COMMAND, log, variables) as service:
        wait_until(service.is_live, "the service is live")
        yield service


@contextmanager
def serve(
    folder: Path, models: Path = ROOT / "models", workers: int = 2, **settings: str
) -> Iterator[Service]:
    """Start the service with its defaults and some settings; wait until all workers are ready.

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
    with launched(COMMAND, folder / "log", variables) as service:
        wait_until(lambda: service.answers("/health/ready"), "the service is ready")
        wait_until(lambda: len(children(service.pid)) == workers, "all workers run")
        yield service


def free_port() -> int:
    """Return an unused port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port

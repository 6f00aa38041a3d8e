"""The service as a process: gunicorn with its configuration file, over a socket."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAX_BODY_BYTES = 2**20
DEADLINE_SECONDS = 20
JSON = {"Content-Type": "application/json"}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE_SECONDS} s"
        time.sleep(0.02)


class Service:
    """A running gunicorn."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)

    def open_socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)

    def ask(self, path: str, document: Any = None) -> tuple[int, dict[str, Any]]:
        """Send a GET or, with a document, a POST on a connection of its own."""
        connection = self.connect()
        try:
            if document is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(document), JSON)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def is_live(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError, http.client.HTTPException):
            return self.ask("/health/live")[0] == 200
        return False

    def refuses_connections(self) -> bool:
        try:
            self.open_socket().close()
        except ConnectionRefusedError:
            return True
        return False


@contextmanager
def running(model_dir: Path, log: Path, environment: Mapping[str, str]) -> Iterator[Service]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"PORT": str(port), "MODEL_DIR": str(model_dir), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            cwd=ROOT,
            env={**os.environ, "MAX_BODY_BYTES": str(MAX_BODY_BYTES), **settings},
            stdout=output,
            stderr=output,
        )
    service = Service(process, port, log)
    try:
        wait_until(service.is_live, "the service is live")
        yield service
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        finally:
            process.kill()

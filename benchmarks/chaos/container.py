"""The service's container is restarted under load, and its master killed."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.clients import UNREACHED, Reply
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.restarts import judge, load
from benchmarks.chaos.truth import Truth
from tests.service.server import ROOT, wait_until

_IMAGE = "nodestack-service"
_PORT = 8000
_MOST_READY_SECONDS = 3.0
# The engine starts a container again at once, unless it ended within ten seconds.
_SETTLED_SECONDS = 11
_PROBE_SECONDS = 0.5
_POLL_SECONDS = 0.05
_KILL = """
import os, signal, sys, time
print(time.time())
os.kill(int(sys.argv[1]), signal.SIGKILL)
"""


def run(_: bool, folder: Path) -> Outcome:
    """Restart the container, and then kill its master."""
    outcome = Outcome()
    if not _is_there():
        outcome.figures["container restarted"] = f"no container engine, or no image {_IMAGE}, here"
        return outcome
    truth = Truth(folder / "models")
    truth.publish()
    replies: list[Reply] = []
    with _composed(folder / "models") as container:
        gap = _restart(container, truth, replies)
        recovery = _kill_master(container)
    judge(outcome, replies)
    outcome.expect(
        recovery <= _MOST_READY_SECONDS,
        f"the container was ready {recovery:.1f} s after its master was killed",
    )
    outcome.figures = {
        "`docker compose restart service` under load: refused in between": f"{gap:.1f} s",
        **outcome.figures,
        "ready after a SIGKILL of the master": f"{recovery:.1f} s",
    }
    return outcome


class _Container:
    """The service's container, in a Compose project of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def compose(self, *command: str) -> str:
        """Run a command of Compose; give what it prints.

        Raises:
            CalledProcessError: It fails.
        """
        return _docker("compose", *command, environment=self._environment)

    def inspect(self, what: str) -> str:
        """Give something that the engine knows of the container, by a template."""
        return _docker("inspect", "--format", what, self.compose("ps", "--all", "-q", "service"))

    @property
    def address(self) -> str:
        """Its own address: the published port is the engine's, which accepts before it asks."""
        return self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def is_ready(self) -> bool:
        """Whether it says so."""
        connection = http.client.HTTPConnection(self.address, _PORT, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def _composed(models: Path) -> Iterator[_Container]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = _Container(
        {
            "COMPOSE_PROJECT_NAME": f"nodestack-chaos-{os.getpid()}",
            "PORT": str(port),
            "MODEL_DIR": str(models),
            "LOG_LEVEL": "warning",
        }
    )
    try:
        container.compose("up", "--detach", "--no-build", "--wait", "service")
        yield container
    finally:
        container.compose("down", "--volumes")


def _restart(container: _Container, truth: Truth, replies: list[Reply]) -> float:
    """Restart it under load; give how long nobody could connect."""
    asked: list[Reply] = []
    with load(_PORT, truth.question, asked, host=container.address):
        time.sleep(1)
        container.compose("restart", "service")
        wait_until(container.is_ready, "the container")
        time.sleep(1)
    replies += asked
    refused = [reply.asked for reply in asked if reply.status == UNREACHED]
    return max(refused) - min(refused) if refused else 0.0


def _kill_master(container: _Container) -> float:
    """Kill its first process from outside, as the system may; give how long until it is ready."""
    time.sleep(_SETTLED_SECONDS)
    pid = container.inspect("{{.State.Pid}}")
    outside = ("--rm", "--pid=host", "--network=none", "--user=0")
    killed = float(_docker("run", *outside, _IMAGE, "python", "-c", _KILL, pid))
    wait_until(
        lambda: container.inspect("{{.State.Pid}}") != pid and container.is_ready(), "the container"
    )
    return time.time() - killed


def _is_there() -> bool:
    try:
        _docker("compose", "version")
        _docker("image", "inspect", _IMAGE)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _docker(*command: str, environment: dict[str, str] | None = None) -> str:
    return subprocess.run(
        ["docker", *command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

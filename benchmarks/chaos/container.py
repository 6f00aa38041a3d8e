"""The service's container is restarted under load, and its master process killed."""

import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.restarts import load
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import NOT_CONNECTED, Reply
from benchmarks.serving.server import ROOT, free_port, wait_until

_IMAGE = "nodestack-service"
_PORT = 8000
_MOST_READY_SECONDS = 3.0
# The engine restarts a container at once if it had run for at least ten seconds.
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
        outcome.figures["container restarted"] = (
            f"skipped: no container engine, or no image {_IMAGE}"
        )
        return outcome
    truth = Truth(folder / "models")
    truth.publish()
    replies: list[Reply] = []
    with _composed(folder / "models") as container:
        gap = _restart(container, truth, replies)
        recovery = _kill_master(container)
    wrong = [reply for reply in replies if reply.fault and reply.status > 0]
    outcome.expect(not wrong, f"{len(wrong)} wrong responses: {wrong[:1]}")
    outcome.expect(
        recovery <= _MOST_READY_SECONDS,
        f"the container was ready {recovery:.1f} s after its master was killed",
    )
    outcome.figures = {
        "`docker compose restart service` under load: refused in between": f"{gap:.1f} s",
        "right responses; wrong; connections reset": (
            f"{sum(not reply.fault for reply in replies):,}; {len(wrong)}; "
            f"{sum(reply.status == 0 for reply in replies)}"
        ),
        "ready after a SIGKILL of the master": f"{recovery:.1f} s",
    }
    return outcome


class _Container:
    """The service's container, in a Compose project of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def compose(self, *command: str) -> str:
        """Run a command of Compose; return its output.

        Raises:
            CalledProcessError: It fails.
        """
        return _docker("compose", *command, environment=self._environment)

    def inspect(self, what: str) -> str:
        """Return a property of the container, by a template of the engine."""
        return _docker("inspect", "--format", what, self.compose("ps", "--all", "-q", "service"))

    @property
    def address(self) -> str:
        """Its own address: the published port belongs to the engine, which always accepts."""
        return self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def is_ready(self) -> bool:
        """Whether it answers so."""
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
    container = _Container(
        {
            "COMPOSE_PROJECT_NAME": f"nodestack-chaos-{os.getpid()}",
            "PORT": str(free_port()),
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
    """Restart it under load; return for how long connections were refused."""
    asked: list[Reply] = []
    with load(_PORT, truth.request, asked, host=container.address):
        time.sleep(1)
        container.compose("restart", "service")
        wait_until(container.is_ready, "the container")
        time.sleep(1)
    replies += asked
    refused = [reply.due for reply in asked if reply.status == NOT_CONNECTED]
    return max(refused) - min(refused) if refused else 0.0


def _kill_master(container: _Container) -> float:
    """Kill its first process from outside; return the seconds until the container is ready."""
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

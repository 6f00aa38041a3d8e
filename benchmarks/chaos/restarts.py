"""The service is restarted, replaced and stopped under load."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import NOT_CONNECTED, Load, Reply, Request
from benchmarks.serving.server import TIMEOUT_SECONDS, Server, serve, wait_until
from tests.support.processes import children

_CONNECTIONS = 4
_WORKERS = 2
_GRACE_SECONDS = 8


def run(full: bool, folder: Path) -> Outcome:
    """Restart by SIGHUP, replace by SIGUSR2, stop by SIGTERM: three times each or, for CI, once."""
    outcome = Outcome()
    times = 3 if full else 1
    truth = Truth(folder / "models", images=16)
    truth.publish()
    replies: list[Reply] = []
    for _ in range(times):
        with _serve(folder) as server, load(server.port, truth.request, replies):
            time.sleep(1)
            _restart(server)
            time.sleep(1)
            _replace(server, outcome)
            time.sleep(1)
    unreached = sum(reply.status == NOT_CONNECTED for reply in replies)
    outcome.expect(unreached == 0, f"{unreached} connections were refused")
    # Each connection that is kept alive may be closed while the client sends, once per event.
    outcome.expect_good(replies, reconnects=2 * times * _CONNECTIONS)
    stopped: list[Reply] = []
    seconds = []
    for _ in range(times):
        with _serve(folder) as server, load(server.port, truth.request, stopped):
            time.sleep(1)
            seconds.append(_stop(server, outcome))
    # Connections that no worker has accepted are reset at the end of the process.
    wrong = [reply for reply in stopped if reply.fault and reply.status > 0]
    outcome.expect(not wrong, f"{len(wrong)} wrong responses at the stop: {wrong[:1]}")
    outcome.figures = {
        "restarted by SIGHUP, replaced by SIGUSR2, stopped by SIGTERM": f"{times} times each",
        **outcome.figures,
        "longest response at a restart or replacement": f"{max(r.seconds for r in replies):.2f} s",
        "connections reset at the stop": f"{sum(reply.status == 0 for reply in stopped)}",
        "until the process has ended, longest": f"{max(seconds):.1f} s",
    }
    return outcome


@contextmanager
def load(
    port: int, request: Request, replies: list[Reply], host: str = "127.0.0.1"
) -> Iterator[None]:
    """Send requests on connections that are kept alive and on new ones; collect the replies."""
    with (
        Load(port, [request], _CONNECTIONS, host=host) as lasting,
        Load(port, [request], _CONNECTIONS, host=host, keep_alive=False) as fleeting,
    ):
        yield
    replies += lasting.replies + fleeting.replies


def _serve(folder: Path) -> Server:
    return serve(folder, folder / "models", _WORKERS, GRACEFUL_TIMEOUT=str(_GRACE_SECONDS))


def _restart(server: Server) -> None:
    before = set(server.workers)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: before.isdisjoint(server.workers), "the old workers to end")


def _replace(server: Server, outcome: Outcome) -> None:
    """Start a second master process on the same socket, and stop the first one."""
    workers = set(server.workers)
    server.process.send_signal(signal.SIGUSR2)

    def successors() -> list[int]:
        others = set(server.workers) - workers
        return [other for other in others if len(children(other)) == _WORKERS]

    wait_until(lambda: bool(successors()), "the workers of the second master")
    time.sleep(0.5)
    _stop(server, outcome)


def _stop(server: Server, outcome: Outcome) -> float:
    """Stop a master process; return the seconds that it took."""
    start = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    code = server.process.wait(TIMEOUT_SECONDS)
    seconds = time.monotonic() - start
    outcome.expect(code == 0, f"the service ended with exit code {code}")
    outcome.expect(seconds <= _GRACE_SECONDS, f"the service took {seconds:.1f} s to end")
    return seconds

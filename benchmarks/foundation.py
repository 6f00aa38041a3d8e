"""`python -m benchmarks.foundation`: gunicorn workers compared by speed and robustness.

An empty ASGI application runs in each worker class. docs/design.md says which one is chosen, and
docs/benchmarks.md what the workers have in common. It needs wrk and `.venv-bench`.
"""

import http.client
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.load import closed_loop
from benchmarks.machine import PEERS, describe
from benchmarks.protocols import Body
from benchmarks.report import arguments, publish, table
from tests.support.processes import peak_megabytes, pinned
from tests.support.server import Service, launched, wait_until

_WORKERS = {
    "gunicorn asgi": ["--worker-class", "asgi", "--http-parser", "python"],
    "gunicorn asgi with gunicorn_h1c": ["--worker-class", "asgi", "--http-parser", "fast"],
    "uvicorn-worker with httptools": ["--worker-class", "uvicorn_worker.UvicornWorker"],
}
_OPTIONS = ["--bind", "127.0.0.1:{port}", "--workers", "1", "--no-control-socket"]
_OPTIONS += ["--keep-alive", "5", "--graceful-timeout", "8", "empty_asgi:app"]
_GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def main() -> None:
    """Publish the table."""
    options = arguments(__doc__, seconds=5)
    criteria: dict[str, Callable[[Service], str]] = {
        "CPU per request; p99": partial(_speed, options.seconds),
        "one header field of 50 MB": partial(_head, [b"a: ", *[b"x" * 2**20] * 50, b"\r\n\r\n"]),
        "2 million header fields": partial(_head, [*[b"a: b\r\n" * 10_000] * 200, b"\r\n"]),
        "a million chunks of 1 byte: worst health check": _tiny_chunks,
        "SIGTERM with an idle connection open": _shutdown,
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in criteria.items():
            results = []
            for worker in _WORKERS.values():
                command = [str(PEERS / "bin" / "gunicorn"), *worker, *_OPTIONS]
                servers = Path(__file__).with_name("servers")
                with launched(command, Path(folder, "log"), {}, servers) as server:
                    wait_until(partial(server.answers, "/health"), "a response")
                    with pinned(server.pid, *server.workers):
                        results.append(measure(server))
            rows.append([name, *results])
            print(*rows[-1], sep="; ", flush=True)
    packages = ("gunicorn", "gunicorn_h1c", "uvicorn", "uvicorn-worker", "httptools", "uvloop")
    text = table(["", *_WORKERS], rows)
    publish("foundation", text, describe(peers=packages), write=options.write)


def _speed(seconds: int, server: Service) -> str:
    found = closed_loop(server, "/predict", Body(b"0," * 784, {}), 16, seconds)
    return f"{found.cpu_us:.0f} µs; {found.p99_ms:.1f} ms"


def _head(pieces: list[bytes], server: Service) -> str:
    """Send header fields; return the status and the worker's peak memory."""
    try:
        with server.open_socket() as client:
            with suppress(ConnectionError):
                for piece in [_GET[:-2], *pieces]:
                    client.sendall(piece)
            response = http.client.HTTPResponse(client)
            response.begin()
            status = str(response.status)
    except (OSError, http.client.HTTPException) as error:
        status = type(error).__name__
    return f"{status}, {peak_megabytes(server.workers[0]):.0f} MB"


def _tiny_chunks(server: Service) -> str:
    def flood() -> None:
        with server.open_socket() as client, suppress(OSError):
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
            client.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(200):
                client.sendall(b"1\r\na\r\n" * 5000)

    flooding = threading.Thread(target=flood)
    flooding.start()
    worst = 0.0
    while flooding.is_alive():
        started = time.monotonic()
        server.answers("/health")
        worst = max(worst, time.monotonic() - started)
    return f"{worst:.2f} s"


def _shutdown(server: Service) -> str:
    with server.open_socket() as client:
        client.sendall(_GET)
        client.recv(2**16)
        started = time.monotonic()
        server.process.terminate()
        server.process.wait()
        return f"{time.monotonic() - started:.1f} s"


if __name__ == "__main__":
    main()

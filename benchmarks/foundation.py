"""`python -m benchmarks.foundation`: gunicorn workers compared by speed and robustness.

An empty Flask route behind a minimal bridge runs in each worker class. docs/design.md says which
one is chosen. It needs wrk and `.venv-bench`.
"""

import http.client
import socket
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
_POST = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
_MEGABYTE = 2**20


def main() -> None:
    """Publish the table."""
    options = arguments(__doc__, seconds=5)
    criteria: dict[str, Callable[[Service], str]] = {
        "CPU per request; p99": lambda server: _speed(server, options.seconds),
        "one header field of 50 MB": _large_header,
        "2 million header fields": _many_headers,
        "idle after a response": lambda server: _closes(server, _GET),
        "idle before a request": lambda server: _closes(server, b""),
        "idle within a head": lambda server: _closes(server, _GET[:20]),
        **{name: _framing(sent) for name, sent in _framings().items()},
        "3 pipelined requests": _pipelining,
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


def _answer(server: Service, *pieces: bytes, seconds: float = 3) -> str:
    """Send bytes on a new connection; return the status of the response, or the error."""
    try:
        with server.open_socket() as client:
            with suppress(ConnectionError):
                for piece in pieces:
                    client.sendall(piece)
            client.settimeout(seconds)
            response = http.client.HTTPResponse(client)
            response.begin()
            return str(response.status)
    except TimeoutError:
        return "no response"
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def _speed(server: Service, seconds: int) -> str:
    found = closed_loop(server, "/predict", Body(b"0," * 784, {}), 16, seconds)
    return f"{found.cpu_us:.0f} µs; {found.p99_ms:.1f} ms"


def _large_header(server: Service) -> str:
    status = _answer(server, _GET[:-2] + b"a: ", *[b"x" * _MEGABYTE] * 50, b"\r\n\r\n")
    return f"{status}, {peak_megabytes(server.workers[0]):.0f} MB"


def _many_headers(server: Service) -> str:
    status = _answer(server, _GET[:-2], *[b"a: b\r\n" * 10_000] * 200, b"\r\n")
    return f"{status}, {peak_megabytes(server.workers[0]):.0f} MB"


def _receive(client: socket.socket, seconds: float) -> tuple[bytes, bool]:
    """Return the bytes received, and whether the server has closed the connection."""
    received = b""
    client.settimeout(seconds)
    with suppress(TimeoutError):
        while piece := client.recv(2**16):
            received += piece
        return received, True
    return received, False


def _closes(server: Service, sent: bytes, seconds: float = 10) -> str:
    with server.open_socket() as client:
        client.sendall(sent)
        started = time.monotonic()
        _, closed = _receive(client, seconds)
        return f"closed after {time.monotonic() - started:.0f} s" if closed else "stays open"


def _framings() -> dict[str, bytes]:
    chunked = _POST + b"Transfer-Encoding: chunked\r\n"
    return {
        "length and chunks": chunked + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + _GET,
        "two lengths": _POST + b"Content-Length: 3\r\nContent-Length: 9\r\n\r\nabc",
        "malformed chunk": chunked + b"\r\nzz\r\n",
        "chunk extension": chunked + b"\r\n4;x=y\r\nabcd\r\n0\r\n\r\n",
    }


def _framing(sent: bytes) -> Callable[[Service], str]:
    return lambda server: _answer(server, sent)


def _pipelining(server: Service) -> str:
    with server.open_socket() as client:
        client.sendall(_GET * 3)
        received, _ = _receive(client, 1)
    return f"{received.count(b'200 OK')} answered"


def _tiny_chunks(server: Service) -> str:
    def flood() -> None:
        with server.open_socket() as client, suppress(OSError):
            client.sendall(_POST + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(200):
                client.sendall(b"1\r\na\r\n" * 5000)

    flooding = threading.Thread(target=flood)
    flooding.start()
    worst = 0.0
    while flooding.is_alive():
        started = time.monotonic()
        _answer(server, _GET, seconds=20)
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

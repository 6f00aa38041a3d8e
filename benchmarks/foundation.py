"""`python -m benchmarks.foundation`: which gunicorn worker reads HTTP, by speed and robustness.

An empty Flask route behind a minimal bridge runs in each worker class; the table is for
docs/server.md. Needs wrk, and `.venv-bench` (`make .venv-bench/installed`).
"""

import http.client
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_GUNICORN = _ROOT / ".venv-bench" / "bin" / "gunicorn"
_WORKERS = {
    "gunicorn asgi": ["--worker-class", "asgi", "--http-parser", "python"],
    "gunicorn asgi, gunicorn_h1c": ["--worker-class", "asgi", "--http-parser", "fast"],
    "uvicorn-worker": ["--worker-class", "uvicorn_worker.UvicornWorker"],
}
_KEEP_ALIVE, _GRACEFUL_TIMEOUT = 5, 8
_GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
_POST = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
_MEGABYTE = 2**20


class Server:
    """A gunicorn with one worker on the first core."""

    def __init__(self, options: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = ["taskset", "--cpu-list", "0", str(_GUNICORN), *options, "--workers", "1"]
        command += ["--bind", f"127.0.0.1:{self.port}", "--keep-alive", str(_KEEP_ALIVE)]
        command += ["--graceful-timeout", str(_GRACEFUL_TIMEOUT), "--no-control-socket"]
        self.process = subprocess.Popen(
            [*command, "empty_asgi:app"], cwd=_ROOT / "benchmarks" / "servers", stderr=-3
        )
        deadline = time.monotonic() + 20
        while self.answer(_GET, seconds=1) != "200":
            assert time.monotonic() < deadline, "the server does not start"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.worker = int(children.read_text().split()[0])

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def answer(self, *pieces: bytes, seconds: float = 3) -> str:
        """Send bytes on a new connection; return the status of the response, or what came."""
        try:
            with self.connect() as client:
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

    def peak_megabytes(self) -> int:
        """Return the worker's largest resident memory so far."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found
        return int(found[1]) // 1024

    def cpu_seconds(self) -> float:
        """Return the worker's user and system time so far."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _running(options: list[str]) -> Iterator[Server]:
    server = Server(options)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def speed(server: Server) -> str:
    """Measure CPU time per request and p99 with wrk, 16 connections on the other core."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write('wrk.method="POST"\nwrk.body=("0,"):rep(784)\n')
        script.flush()
        before = server.cpu_seconds()
        output = subprocess.check_output(
            [
                *("taskset", "--cpu-list", "1", "wrk", "-t1", "-c16", "-d5", "--latency"),
                *("-s", script.name, f"http://127.0.0.1:{server.port}/predict"),
            ],
            text=True,
        )
    spent = server.cpu_seconds() - before
    requests = int(re.findall(r"(\d+) requests in", output)[0])
    p99 = re.findall(r"99%\s+(\S+)", output)[0]
    return f"{spent / requests * 1e6:.0f} us, p99 {p99}"


def large_header(server: Server) -> str:
    """Send one header field of 50 MB."""
    status = server.answer(_GET[:-2] + b"a: ", *[b"x" * _MEGABYTE] * 50, b"\r\n\r\n")
    return f"{status}, peak {server.peak_megabytes()} MB"


def many_headers(server: Server) -> str:
    """Send two million header fields."""
    status = server.answer(_GET[:-2], *[b"a: b\r\n" * 10_000] * 200, b"\r\n")
    return f"{status}, peak {server.peak_megabytes()} MB"


def _closes(server: Server, sent: bytes, seconds: float) -> str:
    with server.connect() as client:
        client.sendall(sent)
        client.settimeout(seconds)
        started = time.monotonic()
        try:
            while client.recv(2**16):
                pass
        except TimeoutError:
            return f"open after {seconds:.0f} s"
        return f"closed after {time.monotonic() - started:.0f} s"


def idle(server: Server) -> str:
    """Leave a connection idle after a response, before a request, and within a head."""
    cases = {"after a response": _GET, "before a request": b"", "within a head": _GET[:20]}
    return "; ".join(f"{name}: {_closes(server, sent, 10)}" for name, sent in cases.items())


def framing(server: Server) -> str:
    """Send requests whose framing is ambiguous or malformed."""
    chunked = _POST + b"Transfer-Encoding: chunked\r\n"
    cases = {
        "both lengths": chunked + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + _GET,
        "two lengths": _POST + b"Content-Length: 3\r\nContent-Length: 9\r\n\r\nabc",
        "bad chunk": chunked + b"\r\nzz\r\n",
        "chunk extension": chunked + b"\r\n4;x=y\r\nabcd\r\n0\r\n\r\n",
    }
    return "; ".join(f"{name}: {server.answer(sent)}" for name, sent in cases.items())


def pipelining(server: Server) -> str:
    """Send three requests at a time."""
    with server.connect() as client:
        client.sendall(_GET * 3)
        client.settimeout(1)
        received = b""
        with suppress(TimeoutError):
            while piece := client.recv(2**16):
                received += piece
    return f"{received.count(b'200 OK')} of 3"


def tiny_chunks(server: Server) -> str:
    """Send a million chunks of one byte; measure the worst health check meanwhile."""

    def flood() -> None:
        with server.connect() as client, suppress(OSError):
            client.sendall(_POST + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(200):
                client.sendall(b"1\r\na\r\n" * 5000)

    flooding = threading.Thread(target=flood)
    flooding.start()
    worst = 0.0
    while flooding.is_alive():
        started = time.monotonic()
        server.answer(_GET, seconds=20)
        worst = max(worst, time.monotonic() - started)
    return f"health {worst * 1e3:.0f} ms"


def shutdown(server: Server) -> str:
    """Stop the server with one idle connection open."""
    with server.connect() as client:
        client.sendall(_GET)
        client.recv(2**16)
        started = time.monotonic()
        server.process.terminate()
        server.process.wait()
        return f"{time.monotonic() - started:.1f} s"


_CRITERIA: dict[str, Callable[[Server], str]] = {
    "CPU per request": speed,
    "one header field of 50 MB": large_header,
    "2 million header fields": many_headers,
    "idle connections": idle,
    "ambiguous framing": framing,
    "pipelined requests": pipelining,
    "a million chunks of 1 byte": tiny_chunks,
    "SIGTERM with an idle connection": shutdown,
}


def main() -> None:
    """Print the table."""
    print(f"| | {' | '.join(_WORKERS)} |\n| --- |{' --- |' * len(_WORKERS)}")
    for name, measure in _CRITERIA.items():
        results = []
        for options in _WORKERS.values():
            with _running(options) as server:
                results.append(measure(server))
        print(f"| {name} | {' | '.join(results)} |", flush=True)


if __name__ == "__main__":
    main()

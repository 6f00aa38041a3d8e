"""A mirror on the loopback that answers as a test tells it to, and remembers what it was asked."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer


@dataclass(frozen=True)
class Reply:
    """What a mirror answers; `length` is the Content-Length it claims where that is a lie."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass(frozen=True)
class Mirror:
    """Where a mirror is, and the paths it was asked for."""

    url: str
    requests: list[str]


@contextmanager
def serve(replies: Mapping[str, Reply]) -> Iterator[Mirror]:
    """Serve replies by file name; any other file is not found."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            reply = replies.get(self.path.removeprefix("/mnist/"), Reply(b"not here", 404))
            with suppress(ConnectionError):  # who has heard enough hangs up
                self.send_response(reply.status)
                length = len(reply.body) if reply.length is None else reply.length
                self.send_header("Content-Length", f"{length}")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield Mirror(f"http://127.0.0.1:{server.server_port}/mnist/", requests)
        finally:
            server.shutdown()
            thread.join()

"""A download mirror on the loopback interface, with replies that a test chooses."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple


class Reply(NamedTuple):
    """A response; `length` is a false Content-Length."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    length: int | None = None


class Mirror(NamedTuple):
    """The address of a mirror, and the paths that were requested."""

    url: str
    requests: list[str]


@contextmanager
def serve(replies: Mapping[str, Reply]) -> Iterator[Mirror]:
    """Serve replies by file name, and 404 for any other file."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            reply = replies.get(self.path.removeprefix("/mnist/"), Reply(b"not here", 404))
            length = len(reply.body) if reply.length is None else reply.length
            with suppress(ConnectionError):  # a client may close early
                self.send_response(reply.status)
                for name, value in ({"Content-Length": str(length)} | dict(reply.headers)).items():
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

"""Refusals before gunicorn has read the request: most of what one costs would be its reading."""

from __future__ import annotations

from socket import socket
from typing import TYPE_CHECKING, Any

from gunicorn.http.message import Request

from service.admission import Admission
from service.bodies import discard_body
from service.raw_answers import write_answer
from service.request_heads import Head, read_head

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from gunicorn.http.unreader import Unreader


class EarlyRefusals:
    """Refuses ordinary requests that there is no room for; a `Doorkeeper` refuses the others.

    Args:
        admission: Knows whether there is room.
        refuse: Answers them; it has to make do with what `Head` tells of a request.
    """

    def __init__(self, admission: Admission, refuse: WSGIApplication) -> None:
        self._admission = admission
        self._refuse = refuse

    def look(self, data: bytes, client: str) -> Head | None:
        """Give the head of a request that is to be refused, None of any other.

        Args:
            data: What has arrived of it.
            client: Its sender's address.
        """
        return None if self._admission.has_room() else read_head(data, client)

    def write(self, head: Head, *, close: bool) -> bytes:
        """Give the answer to such a request as it goes over the connection.

        Args:
            head: Its head.
            close: Whether the connection ends with it.
        """
        status, headers = "", list[tuple[str, str]]()

        def start(line: str, fields: list[tuple[str, str]], *_: object) -> Any:
            nonlocal status, headers
            status, headers = line, fields

        body = b"".join(self._refuse(head.environ, start))
        return write_answer(status, headers, body, close=close)


class RefusableRequest(Request):  # type: ignore[misc]
    """A request that gunicorn reads unless it is to be refused.

    Args:
        refusals: Know whether it is.
        arguments: What gunicorn makes a request of.
    """

    def __init__(self, refusals: EarlyRefusals, *arguments: Any) -> None:
        self._refusals = refusals
        self._head: Head | None = None
        super().__init__(*arguments)

    def parse(self, unreader: Unreader) -> bytes:
        """Read the head, and give what has arrived behind it; gunicorn calls it."""
        data: bytes = unreader.read()
        # Through a socket of the file system there comes no address.
        client = self.peer_addr[0] if isinstance(self.peer_addr, tuple) else ""
        self._head = self._refusals.look(data, client)
        if self._head is None:
            unreader.unread(data)
            rest: bytes = super().parse(unreader)
            return rest
        # By these gunicorn knows where the body ends, and that another request may follow.
        self.version = (1, 1)
        self.headers = [("CONTENT-LENGTH", str(self._head.length))]
        return data[self._head.size :]

    def refuse(self, client: socket, *, close: bool) -> bool:
        """Refuse a request that is to be refused, and tell whether it is.

        Args:
            client: Its connection.
            close: Whether that ends.
        """
        if self._head is None:
            return False
        client.sendall(self._refusals.write(self._head, close=close))
        # Its body may take long to arrive, and is read once that is answered.
        discard_body(self.body)
        return True

"""Refusals before gunicorn has read the request: most of what one costs would be its reading."""

from __future__ import annotations

from socket import socket
from typing import TYPE_CHECKING, Any

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.message import Request

from service.admission import Admission
from service.bodies import discard_body
from service.raw_answers import write_answer
from service.request_heads import Head, read_head

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from gunicorn.config import Config
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
        config: gunicorn's settings.
        unreader: What arrives over the connection.
        client: Its other end.
        number: Of the request among the connection's.
    """

    def __init__(
        self,
        refusals: EarlyRefusals,
        config: Config,
        unreader: Unreader,
        client: tuple[str, int] | str,
        number: int = 1,
    ) -> None:
        self._refusals = refusals
        data = unreader.read()
        # Through a socket of the file system there comes no address.
        self._head = refusals.look(data, client[0] if isinstance(client, tuple) else "")
        if self._head is None:
            unreader.unread(data)
            super().__init__(config, unreader, client, number)
            return
        # Of these gunicorn makes use with a request that it does not read, and which never is a
        # connection's last.
        self.must_close = False
        self.version = (1, 1)
        self.headers: list[tuple[str, str]] = []
        self.proxy_protocol_info = None
        end = self._head.size + self._head.length
        self._arriving = max(0, end - len(data))
        unreader.unread(data[end:])
        self.body = Body(LengthReader(unreader, self._arriving))

    def refuse(self, client: socket, *, close: bool) -> bool:
        """Refuse a request that is to be refused, and tell whether it is.

        Args:
            client: Its connection.
            close: Whether that ends.
        """
        if self._head is None:
            return False
        answer = self._refusals.write(self._head, close=close)
        sent = client.send(answer)
        if sent < len(answer):
            client.sendall(answer[sent:])
        # Its body may take long to arrive, and is read once that is answered.
        if self._arriving:
            discard_body(self.body)
        return True

"""The worker class: gunicorn's for gevent, which also lets many connections in at once."""

import socket
import sys
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.http import message, parser
from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding
from gunicorn.workers.ggevent import GeventWorker

from service.chunks import Chunks
from service.closing_door import hear
from service.memory import made_to_last
from service.waiting import let_others_go_first

# So many connections are taken one at a time, in turn with the other workers. Measured while 256
# are opened at once: with 16 instead, the slowest health check took 50 instead of 33 ms.
_SHARED_EVENLY = 4
# A large image is decoded in a thread beside the requests, and so long does either wait for the
# other; it would be five times as long.
_SWITCH_SECONDS = 0.001
# Measured with 50 requests at once on each of 4 connections, beside a load of 40 %: the others' p99
# was 5 to 8 ms, and with 1 instead 10 to 15.
_PASSES_BEFORE_PIPELINED = 8
# A client that does not take its answer in this time is given up, or it would hold its connection
# for ever.
_ANSWER_SECONDS = 60


class _Server(StreamServer):  # type: ignore[misc]
    """Takes connections one at a time, so that the workers share them evenly, until it has many.

    In a flood of connections whoever comes last, a health check say, would otherwise wait until the
    worker has gone through its work once for each connection before it.
    """

    @property
    def max_accept(self) -> int:
        """How many connections to accept before those that are there have their turn."""
        pool: Pool | None = self.pool
        connections = pool.size - pool.free_count() if pool else 0
        return 1 if connections < _SHARED_EVENLY else connections

    def do_read(self) -> tuple[socket.socket, Any] | None:
        """Accept a connection, if there is one; give it with the client's address."""
        connection: tuple[socket.socket, Any] | None = super().do_read()
        if connection:
            hear(connection[0])
        return connection

    def close(self) -> None:
        """Stop listening, once the connections that wait in the system's queue are taken.

        The system has let their clients in, and would reset them.
        """
        while not self.closed and (connection := self.do_read()):
            self.do_handle(*connection)
        super().close()


class Worker(GeventWorker):  # type: ignore[misc]
    """Runs the service."""

    def init_process(self) -> None:
        """Begin to work; gunicorn calls it in the new process."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        message.ChunkedReader = Chunks
        super().init_process()

    def load_wsgi(self) -> None:
        """Make the application; gunicorn calls it in the new process."""
        with made_to_last():
            super().load_wsgi()
        # Imported only here: gunicorn's master needs neither Flask nor numpy.
        from service.early_refusals import RefusableRequest
        from service.malformed import answer_malformed

        util.write_error = answer_malformed
        refusals = self.wsgi.extensions["early_refusals"]
        parser.RequestParser.mesg_class = staticmethod(partial(RefusableRequest, refusals))

    def server_class(self, listener: Any, *, spawn: Pool, **_: object) -> StreamServer:
        """Make what accepts connections from a listener; gunicorn calls it as it would a class."""
        # The listener's name is all that is asked of it, also when it is closed already.
        address = listener.getsockname()
        named = SimpleNamespace(getsockname=lambda: address)
        return _Server(listener, handle=partial(self.handle, named), spawn=spawn)

    def handle_request(self, listener: Any, request: Any, client: Any, address: Any) -> None:
        """Answer a request; gunicorn calls it when the head is there."""
        client.settimeout(_ANSWER_SECONDS)
        try:
            if not request.refuse(client, close=not self.alive):
                super().handle_request(listener, request, client, address)
                _let_others_go_first(request)
            elif not self.alive:
                raise StopIteration
        except TimeoutError:
            raise StopIteration from None  # which ends the connection

    def handle_error(
        self, request: Any, client: socket.socket, address: Any, error: Exception
    ) -> None:
        """Answer what is no HTTP; no client can make it an error of the service's (501)."""
        if isinstance(error, UnsupportedTransferCoding):
            error = InvalidHeader("TRANSFER-ENCODING")
        super().handle_error(request, client, address, error)
        _discard_rest(client)


def _let_others_go_first(request: Any) -> None:
    """Let every connection that is ready have its turn before that of a request goes on.

    If its next request has arrived already it waits longer: so many requests are in nobody's way.
    """
    pipelined = request.unreader.buf.tell() > 0
    for _ in range(_PASSES_BEFORE_PIPELINED if pipelined else 1):
        let_others_go_first()


def _discard_rest(client: socket.socket) -> None:
    """Let a client that is still sending come to read the answer, after which nothing comes."""
    # Imported only here: gunicorn's master needs neither Flask nor numpy.
    from service.bodies import discard_body

    with suppress(OSError), client.makefile("rb") as rest:
        client.shutdown(socket.SHUT_WR)
        discard_body(rest)

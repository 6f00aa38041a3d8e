"""The worker class: gunicorn's for gevent, which also lets many connections in at once."""

import sys
from functools import partial
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

# So many connections are taken one at a time, in turn with the other workers. Measured while 256
# are opened at once: with 16 instead, the slowest health check took 50 instead of 33 ms.
_SHARED_EVENLY = 4
# A large image is decoded in a thread beside the requests, and so long does either wait for the
# other; it would be five times as long.
_SWITCH_SECONDS = 0.001


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


class Worker(GeventWorker):  # type: ignore[misc]
    """Runs the service."""

    def init_process(self) -> None:
        """Begin to work; gunicorn calls it in the new process."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        super().init_process()

    def server_class(self, listener: Any, *, spawn: Pool, **_: object) -> StreamServer:
        """Make what accepts connections from a listener; gunicorn calls it as it would a class."""
        return _Server(listener, handle=partial(self.handle, listener), spawn=spawn)

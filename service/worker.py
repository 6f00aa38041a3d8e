"""The worker class: gunicorn's for gevent, which also lets many connections in at once."""

from functools import partial
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

# So many connections are taken one at a time, in turn with the other workers.
_SHARED_EVENLY = 32
_MOST_AT_ONCE = 100


class _Server(StreamServer):  # type: ignore[misc]
    """Takes connections one at a time, so that the workers share them evenly, until it has many.

    In a flood of connections whoever comes last, a health check say, would otherwise wait until the
    worker has gone once through its work for each connection before it.
    """

    @property
    def max_accept(self) -> int:
        """How many connections to accept before those that are there have their turn."""
        pool: Pool | None = self.pool
        few = pool is None or pool.size - pool.free_count() < _SHARED_EVENLY
        return 1 if few else _MOST_AT_ONCE


class Worker(GeventWorker):  # type: ignore[misc]
    """Runs the service."""

    def server_class(self, listener: Any, *, spawn: Pool, **_: object) -> StreamServer:
        """Make what accepts connections from a listener; gunicorn calls it as it would a class."""
        return _Server(listener, handle=partial(self.handle, listener), spawn=spawn)

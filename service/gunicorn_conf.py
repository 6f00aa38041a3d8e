"""How gunicorn runs the service; `python -m service` starts it with this file."""

import gc
import os
import resource
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.observability.log_format import configure_logging
from service.settings import Settings, SettingsError

# There is one worker per core, and each computes on one. The workers inherit this from the master
# process, which never imports numpy itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    _settings = Settings.from_environment(os.environ)
except SettingsError as error:
    sys.exit(str(error))

wsgi_app = "service.asgi:create_asgi_app()"
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"
certfile = _settings.tls_cert_file or None
keyfile = _settings.tls_key_file or None
workers = _settings.workers
# Compared with uvicorn's worker in docs/design.md.
worker_class = "asgi"
asgi_lifespan = "off"
# It accepts one connection in each pass of the loop, and asyncio's own as many as wait: then one
# worker may get all connections of a client (docs/design.md).
asgi_loop = "uvloop"
forwarded_allow_ips = ",".join(map(str, _settings.forwarded_allow_ips))
# uvloop listens again with a backlog of 100; clients that find it full wait for seconds.
backlog = 2048
# On a busy machine that happens late, hence three times.
_LISTEN_AGAIN_SECONDS = (0.1, 1, 5)
# More than clients and proxies send, of at most 8,190 bytes each; gunicorn answers 431 beyond.
limit_request_fields = 64
# A connection that has ended would keep what was read of it for this long, 3 s by default: 64
# clients with endless heads take a worker to 531 MB, with 0 to 150 MB.
asgi_disconnect_grace_period = 0
keepalive = 5
timeout = 60
graceful_timeout = _settings.graceful_timeout
# One connection is one file.
_MAX_FILES = 2048
_, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(_MAX_FILES, _hard_limit), _hard_limit))

# The heartbeat file and the metrics are kept in memory: a disk may stall or be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # nosec B108
# It would be written into the home folder.
control_socket_disable = True

loglevel = _settings.log_level
errorlog = "-"
_SOCKET_OPTIONS = {
    # A client that takes no response is disconnected after so many milliseconds; accepted
    # connections inherit it.
    "TCP_USER_TIMEOUT": 20_000,
    # A connection is accepted when it has sent something, or after so many seconds. Otherwise the
    # worker that wakes first accepts all connections of a client before the first request arrives.
    "TCP_DEFER_ACCEPT": 1,
}
# A background thread that decodes a picture leaves the event loop waiting for at most this; 5 ms
# is Python's default.
_SWITCH_SECONDS = 0.001


def _configure_logging() -> None:
    # Not by gunicorn's `logconfig_dict`, which turns on its access log: 200 us per request.
    configure_logging(_settings.log_level, _settings.log_format)


def on_starting(_server: Any) -> None:
    """Configure logging, and create the folder for the workers' metrics, empty at each start."""
    _configure_logging()
    os.environ["METRICS_DIR"] = tempfile.mkdtemp(prefix="nodestack-metrics-", dir=worker_tmp_dir)


def on_reload(_server: Any) -> None:
    """Configure logging again, after gunicorn has set up its own on SIGHUP."""
    _configure_logging()


def when_ready(server: Any) -> None:
    """Set the socket options that gunicorn has no setting for."""
    for listener in server.LISTENERS:
        for name, value in _SOCKET_OPTIONS.items():
            if option := getattr(socket, name, None):  # Linux has them
                listener.sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _listen(listener: socket.socket) -> None:
    with suppress(OSError):  # closed by a shutdown meanwhile
        listener.listen(backlog)


def post_worker_init(worker: Any) -> None:
    """Restore the backlog, and exclude start-up objects from garbage collection.

    Every request waits for a collection: 16 to 26 ms with them, 1 ms without.
    """
    for listener in worker.sockets:
        for seconds in _LISTEN_AGAIN_SECONDS:
            worker.loop.call_later(seconds, _listen, listener.sock)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()


def child_exit(_server: Any, worker: Any) -> None:
    """Keep the counts of a worker that has ended."""
    from service.observability.metrics import keep_counts_of_ended_worker

    keep_counts_of_ended_worker(Path(os.environ["METRICS_DIR"]), worker.pid)


def on_exit(_server: Any) -> None:
    """Remove the metrics."""
    shutil.rmtree(os.environ["METRICS_DIR"], ignore_errors=True)

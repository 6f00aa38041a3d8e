"""How gunicorn runs the service: `gunicorn -c service/gunicorn_conf.py 'service:create_app()'`."""

import logging
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import gunicorn.http.wsgi
from gunicorn.glogging import Logger

from service.closing_door import close_gently
from service.settings import Settings, SettingsError

# A worker computes on one core, and there are as many workers as cores. The workers inherit this
# from the master, which never imports numpy itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    _settings = Settings.from_environment(os.environ)
except SettingsError as error:
    sys.exit(str(error))

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
# Measured with wrk, 2 workers, 16 connections of one image and 4 of 256: throughput is much the
# same, but sync keeps no connection alive, and a few slow clients occupy every thread of gthread.
# gevent stands both.
worker_class = "service.worker.Worker"
keepalive = 5
# The next one would wait for one of these to end. Each takes 14 kB, for which there is room beside
# the worker, and a file descriptor, of which many a shell allows 1,024 where it may allow more.
worker_connections = 2500
_, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most_files, _most_files))
graceful_timeout = _settings.graceful_timeout

# The heartbeat of the workers is a file: in memory, for a disk may stall and may be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # nosec B108
# It would be written into the home folder.
control_socket_disable = True

# Whoever attacks a server looks for the name of its software first.
gunicorn.http.wsgi.SERVER = "nodestack"

loglevel = _settings.log_level
errorlog = "-"


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801 - the setting's name
    """Gunicorn's logger without its access log, whose lines it makes even if nobody wants them."""

    def access(self, *_: object) -> None:
        """Leave it to the application's log."""


# No line tells of these, and each takes a request's time.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
# What the application logs and what gunicorn logs goes to one place in one form.
_formatter = "TextFormatter" if _settings.log_format == "text" else "JsonFormatter"
_logger = {
    "level": _settings.log_level.upper(),
    "handlers": ["error_console"],
    "propagate": False,
}
logconfig_dict = {
    "formatters": {"generic": {"()": f"service.logs.{_formatter}"}},
    "root": {"level": _settings.log_level.upper(), "handlers": ["error_console"]},
    "loggers": {"gunicorn.error": _logger},
}


def on_starting(_server: object) -> None:
    """Make the folder where the workers keep their figures; `service.metrics` adds them up.

    It is new at each start, for what a run before has left would be counted again; SIGHUP starts
    nothing, and reads this file once more.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(
        prefix="nodestack-metrics-", dir=worker_tmp_dir
    )


def when_ready(server: object) -> None:
    """Have the end throw nobody out who is in already."""
    close_gently(server)


def child_exit(_server: object, worker: Any) -> None:
    """Take what a worker that has ended was doing out of the figures; what it did stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: object) -> None:
    """Remove the figures."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)

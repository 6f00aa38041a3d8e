"""How gunicorn runs the service: `gunicorn -c service/gunicorn_conf.py 'service:create_app()'`."""

import os
import sys
from pathlib import Path

import gevent

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
# gevent stands both, yet alone it is unfair: a connection whose next request has arrived goes on
# before those that wait, and the 99th percentile of health checks was 0.3 to 0.7 s. With
# `post_request` below it is 0.02 to 0.1 s, for 2 % of the throughput of single images and about
# 15 % of that of large batches.
worker_class = "gevent"
keepalive = 5
graceful_timeout = _settings.graceful_timeout

# The heartbeat of the workers is a file: in memory, for a disk may stall and may be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# It would be written into the home folder.
control_socket_disable = True

loglevel = _settings.log_level
errorlog = "-"
accesslog = None
# What the application logs goes where gunicorn's own lines go; those have their handler already.
logconfig_dict = {
    "root": {"level": _settings.log_level.upper(), "handlers": ["error_console"]},
    "loggers": {},
}


def post_request(_worker: object, _request: object, _environ: object, _response: object) -> None:
    """Let every connection that is ready have its turn before this one goes on."""
    gevent.sleep(1e-6)  # unlike 0, any time at all makes the event loop look for new events

"""What the service can be told, each setting by one variable of the environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
# A worker more costs memory and, past the cores, gains nothing; a large host need not start fifty.
MOST_WORKERS_BY_DEFAULT = 8
_LARGEST = 2**31 - 1


class SettingsError(ValueError):
    """A variable has a value that is no good; the message names it, the expected and the given."""


def _available_cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """The settings; each default works.

    Attributes:
        model_dir: The model repository, MODEL_DIR.
        model_name: The model that is served, MODEL_NAME.
        model_version: The version that is served, MODEL_VERSION; the highest when None.
        max_body_bytes: The largest body of a request, MAX_BODY_BYTES.
        max_batch: The most images in a request, MAX_BATCH.
        host: The address to listen on, HOST.
        port: The port to listen on, PORT.
        workers: Worker processes, WEB_CONCURRENCY; by default one for each available CPU, up to 8.
        graceful_timeout: Seconds that requests in flight get to end in, GRACEFUL_TIMEOUT; by
            default less than the 10 that `docker stop` waits.
        log_level: The least level that is logged, LOG_LEVEL.
    """

    model_dir: str = "models"
    model_name: str = "mnist"
    model_version: int | None = None
    max_body_bytes: int = 16 * 2**20
    max_batch: int = 1024
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = field(default_factory=lambda: min(_available_cpus(), MOST_WORKERS_BY_DEFAULT))
    graceful_timeout: int = 8
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; a variable that is absent or empty leaves the default.

        Raises:
            SettingsError: A value is no good.
        """
        default = cls()
        version = _integer(environ, "MODEL_VERSION", 0)
        return cls(
            model_dir=environ.get("MODEL_DIR") or default.model_dir,
            model_name=environ.get("MODEL_NAME") or default.model_name,
            model_version=version or None,
            max_body_bytes=_integer(environ, "MAX_BODY_BYTES", default.max_body_bytes),
            max_batch=_integer(environ, "MAX_BATCH", default.max_batch),
            host=environ.get("HOST") or default.host,
            port=_integer(environ, "PORT", default.port, most=65535),
            workers=_integer(environ, "WEB_CONCURRENCY", default.workers, most=1024),
            graceful_timeout=_integer(environ, "GRACEFUL_TIMEOUT", default.graceful_timeout),
            log_level=_log_level(environ, default.log_level),
        )


def _integer(
    environ: Mapping[str, str], variable: str, default: int, *, most: int = _LARGEST
) -> int:
    text = environ.get(variable)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= most:
        raise SettingsError(f"{variable}: expected an integer from 1 to {most}, got {text!r:.50}")
    return value


def _log_level(environ: Mapping[str, str], default: str) -> str:
    level = environ.get("LOG_LEVEL") or default
    if level.lower() not in LOG_LEVELS:
        raise SettingsError(
            f"LOG_LEVEL: expected one of {', '.join(LOG_LEVELS)}, got {level!r:.50}"
        )
    return level.lower()

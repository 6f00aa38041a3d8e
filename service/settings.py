"""What the service can be told, each setting by one variable of the environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from service.limits import default_workers

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
LOG_FORMATS = ("text", "json")
_LARGEST = 2**31 - 1
_MOST_SECONDS = 86_400
# What a header can carry.
_KEY = re.compile(r"[\x21-\x7e]+")
_RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)", re.ASCII)


class SettingsError(ValueError):
    """A variable has a value that is no good; the message names it, the expected and the given."""


@dataclass(frozen=True)
class Settings:
    """The settings; each default works.

    Attributes:
        model_dir: The model repository, MODEL_DIR.
        model_name: The model that answers when a request names none, MODEL_NAME.
        model_version: Its version when a request names none, MODEL_VERSION; the highest when None.
        reload_seconds: How often each worker looks for changes in the repository,
            RELOAD_SECONDS; never when 0.
        max_body_bytes: The largest body of a request, MAX_BODY_BYTES.
        max_batch: The most images in a request, MAX_BATCH.
        max_in_flight: The most requests that a worker has read and not yet answered,
            MAX_IN_FLIGHT; beyond them, it answers 503.
        host: The address to listen on, HOST.
        port: The port to listen on, PORT.
        workers: Worker processes, WEB_CONCURRENCY; by default one for each CPU that the container
            may use, up to 8, and no more than its memory is enough for.
        graceful_timeout: Seconds that requests in flight get to end in, GRACEFUL_TIMEOUT; by
            default less than the 10 that `docker stop` waits.
        api_keys: The keys that a request needs one of, API_KEYS and the lines of API_KEYS_FILE; no
            request needs one when there are none.
        rate_limit: How often a client may ask a worker, RATE_LIMIT, such as "100/minute"; as often
            as it likes when empty.
        log_level: The least level that is logged, LOG_LEVEL.
        log_format: "text" or "json", LOG_FORMAT.
    """

    model_dir: str = "models"
    model_name: str = "mnist"
    model_version: int | None = None
    reload_seconds: float = 1
    max_body_bytes: int = 16 * 2**20
    max_batch: int = 1024
    max_in_flight: int = 32
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = field(default_factory=default_workers)
    graceful_timeout: int = 8
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    rate_limit: str = ""
    log_level: str = "info"
    log_format: str = "text"

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
            reload_seconds=_seconds(environ, "RELOAD_SECONDS", default.reload_seconds),
            max_body_bytes=_integer(environ, "MAX_BODY_BYTES", default.max_body_bytes),
            max_batch=_integer(environ, "MAX_BATCH", default.max_batch),
            max_in_flight=_integer(environ, "MAX_IN_FLIGHT", default.max_in_flight),
            host=environ.get("HOST") or default.host,
            port=_integer(environ, "PORT", default.port, most=65535),
            workers=_integer(environ, "WEB_CONCURRENCY", default.workers, most=1024),
            graceful_timeout=_integer(environ, "GRACEFUL_TIMEOUT", default.graceful_timeout),
            api_keys=_keys(environ),
            rate_limit=_rate(environ),
            log_level=_choice(environ, "LOG_LEVEL", LOG_LEVELS, default.log_level),
            log_format=_choice(environ, "LOG_FORMAT", LOG_FORMATS, default.log_format),
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


def _seconds(environ: Mapping[str, str], variable: str, default: float) -> float:
    text = environ.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _MOST_SECONDS:
        raise SettingsError(
            f"{variable}: expected seconds from 0 to {_MOST_SECONDS}, got {text!r:.50}"
        )
    return value


def _choice(environ: Mapping[str, str], variable: str, choices: Sequence[str], default: str) -> str:
    choice = (environ.get(variable) or default).lower()
    if choice not in choices:
        raise SettingsError(
            f"{variable}: expected one of {', '.join(choices)}, got {environ[variable]!r:.50}"
        )
    return choice


def _keys(environ: Mapping[str, str]) -> frozenset[str]:
    """Read the API keys; no message tells one."""
    given, file = environ.get("API_KEYS", ""), environ.get("API_KEYS_FILE")
    keys = given.split(",")
    if file:
        try:
            keys += Path(file).read_text("ascii").splitlines()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not ASCII"
            raise SettingsError(
                f"API_KEYS_FILE: expected a file with a key a line, got {file!r:.50}: {why}"
            ) from None
    found = {key.strip() for key in keys} - {""}
    # Whoever names keys wants no open door, even if a mistake has left none.
    if (given or file) and not found:
        raise SettingsError("API_KEYS, API_KEYS_FILE: expected at least one key, got none")
    if not all(_KEY.fullmatch(key) for key in found):
        raise SettingsError(
            "API_KEYS, API_KEYS_FILE: expected visible ASCII characters, got a key with others"
        )
    return frozenset(found)


def _rate(environ: Mapping[str, str]) -> str:
    text = environ.get("RATE_LIMIT", "")
    if text and not _RATE.fullmatch(text):
        raise SettingsError(
            "RATE_LIMIT: expected a number a second, minute, hour or day, such as 100/minute, "
            f"got {text!r:.50}"
        )
    return text

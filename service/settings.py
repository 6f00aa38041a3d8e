"""The settings of the service, each read from one environment variable."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from service.resources import default_workers

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
LOG_FORMATS = ("text", "json")
_MAX_INTEGER = 2**31 - 1
_MAX_SECONDS = 86_400
_KEY = re.compile(r"[\x21-\x7e]+")  # what a header can carry
_RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)", re.ASCII)
_ORIGIN = re.compile(r"https?://[^\s/,]+|\*")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(ValueError):
    """An environment variable has an invalid value; the message names it, expected and got."""


def _integer(text: str, maximum: int = _MAX_INTEGER) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= maximum):
        raise ValueError(f"expected an integer from 1 to {maximum}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _MAX_SECONDS:
        raise ValueError(f"expected seconds from 0 to {_MAX_SECONDS}")
    return value


def _choice(text: str, choices: tuple[str, ...]) -> str:
    if text.lower() not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}")
    return text.lower()


def _readable_file(text: str) -> str:
    try:
        with Path(text).open("rb"):
            return text
    except OSError as error:
        raise ValueError(f"expected a readable file ({error.strerror})") from None


def _rate(text: str) -> str:
    if not _RATE.fullmatch(text):
        raise ValueError("expected requests per second, minute, hour or day, such as 100/minute")
    return text


def _networks(text: str) -> tuple[IpNetwork, ...]:
    names = ["0.0.0.0/0", "::/0"] if text.strip() == "*" else text.split(",")
    try:
        return tuple(ipaddress.ip_network(name.strip()) for name in names)
    except ValueError:
        raise ValueError("expected IP addresses or networks, separated by commas, or *") from None


def _origins(text: str) -> frozenset[str]:
    origins = frozenset(origin.strip() for origin in text.split(","))
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("expected origins such as https://example.org, separated by commas, or *")
    return origins


def _root_path(text: str) -> str:
    path = text.rstrip("/")
    if path and not _ROOT_PATH.fullmatch(path):
        raise ValueError("expected a path prefix such as /digits")
    return path


def _api_keys(environ: Mapping[str, str]) -> frozenset[str]:
    """Read the API keys; no message contains one."""
    listed, file = environ.get("API_KEYS", ""), environ.get("API_KEYS_FILE")
    keys = listed.split(",")
    if file:
        try:
            keys += Path(file).read_text("ascii").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not ASCII"
            raise SettingsError(
                f"API_KEYS_FILE: expected a file with one key per line, got {file!r:.50}: {reason}"
            ) from None
    found = {key.strip() for key in keys} - {""}
    # A mistake in the variable must not open the service to everyone.
    if (listed or file) and not found:
        raise SettingsError("API_KEYS, API_KEYS_FILE: expected at least one key, got none")
    if not all(_KEY.fullmatch(key) for key in found):
        raise SettingsError(
            "API_KEYS, API_KEYS_FILE: expected visible ASCII characters, got a key with others"
        )
    return frozenset(found)


def _setting(
    variable: str, read: Callable[[str], Any], default: Any = MISSING, **options: Any
) -> Any:
    """Return a field that an environment variable sets; `read` raises ValueError if invalid."""
    return field(default=default, metadata={"variable": variable, "read": read}, **options)


@dataclass(frozen=True)
class Settings:
    """The settings; every default works."""

    # The model repository.
    model_dir: str = _setting("MODEL_DIR", str, "models")
    # The model that answers when a request names none.
    model_name: str = _setting("MODEL_NAME", str, "mnist")
    # Its version when a request names none; None for the highest.
    model_version: int | None = _setting("MODEL_VERSION", _integer, None)
    # How often each worker looks for changes in the repository; 0 for never.
    reload_seconds: float = _setting("RELOAD_SECONDS", _seconds, 1)
    # The largest body, also after decompression.
    max_body_bytes: int = _setting("MAX_BODY_BYTES", _integer, 16 * 2**20)
    # The most images in one request.
    max_batch: int = _setting("MAX_BATCH", _integer, 1024)
    # The longest expected wait in a worker's queue; requests that would wait longer get 503.
    max_queue_seconds: float = _setting("MAX_QUEUE_SECONDS", _seconds, 0.5)
    # The address and the port to listen on.
    host: str = _setting("HOST", str, "127.0.0.1")
    port: int = _setting("PORT", lambda text: _integer(text, 65535), 8000)
    # PEM files, both or neither; with them the service speaks HTTPS.
    tls_cert_file: str = _setting("TLS_CERT_FILE", _readable_file, "")
    tls_key_file: str = _setting("TLS_KEY_FILE", _readable_file, "")
    # Worker processes.
    workers: int = _setting(
        "WEB_CONCURRENCY", lambda text: _integer(text, 1024), default_factory=default_workers
    )
    # Seconds that open requests get to finish at shutdown; `docker stop` waits 10 seconds.
    graceful_timeout: int = _setting("GRACEFUL_TIMEOUT", _integer, 8)
    # API_KEYS (comma-separated) and the lines of API_KEYS_FILE; unless there are none, a request
    # needs one of them.
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    # Requests per client and worker, such as "100/minute"; empty for no limit.
    rate_limit: str = _setting("RATE_LIMIT", _rate, "")
    # Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted.
    forwarded_allow_ips: tuple[IpNetwork, ...] = _setting("FORWARDED_ALLOW_IPS", _networks, ())
    # Origins whose pages may call the service from a browser, or "*".
    cors_allow_origins: frozenset[str] = _setting("CORS_ALLOW_ORIGINS", _origins, frozenset())
    # The path prefix under which a proxy publishes the service.
    root_path: str = _setting("ROOT_PATH", _root_path, "")
    # The lowest level that is logged, and the format of the lines.
    log_level: str = _setting("LOG_LEVEL", lambda text: _choice(text, LOG_LEVELS), "info")
    log_format: str = _setting("LOG_FORMAT", lambda text: _choice(text, LOG_FORMATS), "text")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings of an environment; an absent or empty variable means the default.

        Raises:
            SettingsError: A value is invalid.
        """
        values: dict[str, Any] = {"api_keys": _api_keys(environ)}
        for setting in fields(cls):
            variable = setting.metadata.get("variable", "")
            if text := environ.get(variable):
                try:
                    values[setting.name] = setting.metadata["read"](text)
                except ValueError as error:
                    raise SettingsError(f"{variable}: {error}, got {text!r:.50}") from None
        settings = cls(**values)
        if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
            raise SettingsError("TLS_CERT_FILE, TLS_KEY_FILE: expected both or neither, got one")
        return settings

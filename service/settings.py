"""The settings of the service, each read from one environment variable."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Settings:
    """The settings; every default works.

    Attributes:
        model_dir: MODEL_DIR, the model repository.
        model_name: MODEL_NAME, the model that answers when a request names none.
        model_version: MODEL_VERSION, its version when a request names none; None for the highest.
        reload_seconds: RELOAD_SECONDS, how often each worker looks for changes in the repository;
            0 for never.
        max_body_bytes: MAX_BODY_BYTES, the largest body, also after decompression.
        max_batch: MAX_BATCH, the most images in one request.
        max_queue_seconds: MAX_QUEUE_SECONDS, the longest expected wait in a worker's queue;
            requests that would wait longer are rejected with 503.
        host: HOST, the address to listen on.
        port: PORT, the port to listen on.
        tls_cert_file: TLS_CERT_FILE, a PEM file; with `tls_key_file` the service speaks HTTPS.
        tls_key_file: TLS_KEY_FILE, a PEM file.
        workers: WEB_CONCURRENCY, worker processes; by default one per available CPU, at most 8,
            and no more than the memory limit allows.
        graceful_timeout: GRACEFUL_TIMEOUT, seconds that open requests get to finish at shutdown;
            the default is below the 10 seconds that `docker stop` waits.
        api_keys: API_KEYS (comma-separated) and the lines of API_KEYS_FILE; a request needs one
            of them unless there are none.
        rate_limit: RATE_LIMIT, requests per client and worker, such as "100/minute"; empty for
            no limit.
        forwarded_allow_ips: FORWARDED_ALLOW_IPS, comma-separated addresses or networks of proxies
            whose X-Forwarded-For and X-Forwarded-Proto are trusted.
        cors_allow_origins: CORS_ALLOW_ORIGINS, comma-separated origins whose pages may call the
            service from a browser, or "*".
        root_path: ROOT_PATH, the path prefix under which a proxy publishes the service.
        log_level: LOG_LEVEL, the lowest level that is logged.
        log_format: LOG_FORMAT, "text" or "json".
    """

    model_dir: str = "models"
    model_name: str = "mnist"
    model_version: int | None = None
    reload_seconds: float = 1
    max_body_bytes: int = 16 * 2**20
    max_batch: int = 1024
    max_queue_seconds: float = 0.5
    host: str = "127.0.0.1"
    port: int = 8000
    tls_cert_file: str = ""
    tls_key_file: str = ""
    workers: int = field(default_factory=default_workers)
    graceful_timeout: int = 8
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    rate_limit: str = ""
    forwarded_allow_ips: tuple[IpNetwork, ...] = ()
    cors_allow_origins: frozenset[str] = frozenset()
    root_path: str = ""
    log_level: str = "info"
    log_format: str = "text"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings of an environment; an absent or empty variable means the default.

        Raises:
            SettingsError: A value is invalid.
        """
        readers: dict[str, tuple[str, Callable[[str], Any]]] = {
            "model_dir": ("MODEL_DIR", str),
            "model_name": ("MODEL_NAME", str),
            "model_version": ("MODEL_VERSION", _integer),
            "reload_seconds": ("RELOAD_SECONDS", _seconds),
            "max_body_bytes": ("MAX_BODY_BYTES", _integer),
            "max_batch": ("MAX_BATCH", _integer),
            "max_queue_seconds": ("MAX_QUEUE_SECONDS", _seconds),
            "host": ("HOST", str),
            "port": ("PORT", lambda text: _integer(text, 65535)),
            "tls_cert_file": ("TLS_CERT_FILE", _readable_file),
            "tls_key_file": ("TLS_KEY_FILE", _readable_file),
            "workers": ("WEB_CONCURRENCY", lambda text: _integer(text, 1024)),
            "graceful_timeout": ("GRACEFUL_TIMEOUT", _integer),
            "rate_limit": ("RATE_LIMIT", _rate),
            "forwarded_allow_ips": ("FORWARDED_ALLOW_IPS", _networks),
            "cors_allow_origins": ("CORS_ALLOW_ORIGINS", _origins),
            "root_path": ("ROOT_PATH", _root_path),
            "log_level": ("LOG_LEVEL", lambda text: _choice(text, LOG_LEVELS)),
            "log_format": ("LOG_FORMAT", lambda text: _choice(text, LOG_FORMATS)),
        }
        values: dict[str, Any] = {"api_keys": _api_keys(environ)}
        for name, (variable, read) in readers.items():
            if text := environ.get(variable):
                try:
                    values[name] = read(text)
                except ValueError as error:
                    raise SettingsError(f"{variable}: {error}, got {text!r:.50}") from None
        settings = cls(**values)
        if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
            raise SettingsError("TLS_CERT_FILE, TLS_KEY_FILE: expected both or neither, got one")
        return settings


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

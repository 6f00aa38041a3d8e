"""The format of log lines: text or JSON."""

import json
import logging
import logging.config
import re
from datetime import UTC, datetime
from typing import Any

import orjson

# Printable ASCII without space, quotation mark and equals sign.
_PLAIN = re.compile(r"[!#-<>-~]+")


def configure_logging(level: str, line_format: str) -> None:
    """Send what the service and gunicorn log to stderr, in one format.

    Args:
        level: The lowest level that is logged, such as "info".
        line_format: "text" or "json".
    """
    formatter = TextFormatter if line_format == "text" else JsonFormatter
    stderr = {"class": "logging.StreamHandler", "formatter": "line"}
    logger = {"level": level.upper(), "handlers": ["stderr"]}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": stderr},
            "root": logger,
            "loggers": {"gunicorn.error": logger | {"propagate": False}},
        }
    )


class TextFormatter(logging.Formatter):
    """`2026-11-24 16:21:40.123 INFO [pid] message`, then `name=value` for each field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, with the traceback below it where there is one."""
        line = f"{_time(record, ' ')} {record.levelname} [{record.process}] {record.getMessage()}"
        for name, value in _fields(record).items():
            plain = not isinstance(value, str) or _PLAIN.fullmatch(value)
            line += f" {name}={value if plain else json.dumps(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One object per line: time, level, message, process, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of a record, with the traceback in it where there is one."""
        document: dict[str, Any] = {
            "time": _time(record, "T") + "Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "process": record.process,
            **_fields(record),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(document, default=str).decode()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _time(record: logging.LogRecord, separator: str) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(separator, "milliseconds").removesuffix("+00:00")

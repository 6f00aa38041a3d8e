"""How a line of the log looks: as text for people, or as JSON for machines."""

import json
import logging
import os
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson

# Of ASCII what prints, but no space, no quotation mark and no equals sign.
_PLAIN = re.compile(r"[!#-<>-~]+")


class TextFormatter(logging.Formatter):
    """`2026-11-24 16:21:40.123 INFO [pid] message`, then `name=value` for each field."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record in one line, and below it the traceback where there is one."""
        line = f"{_time(record, ' ')} {record.levelname} [{_process()}] {record.getMessage()}"
        for name, value in _fields(record).items():
            plain = not isinstance(value, str) or _PLAIN.fullmatch(value)
            line += f" {name}={value if plain else json.dumps(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, message, process, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record, its traceback within."""
        document: dict[str, Any] = {
            "time": _time(record, "T") + "Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "process": _process(),
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


@cache
def _process() -> int:
    return os.getpid()


# Without it the system is asked in each line.
os.register_at_fork(after_in_child=_process.cache_clear)

"""The JSON of a request: parsed with no Python object for each number, and its faults explained."""

import codecs
import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject
from simdjson import Parser

from service.errors import RequestError

T = TypeVar("T")

_LONGEST_QUOTE = 100
_NUMBER = re.compile(r"-?(?:NaN|Infinity|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")

# A parser keeps its memory for the next body. One that proxies still refer to cannot be used
# again, as those in the traceback of an error do, so only success gives it back.
_parsers: list[Parser] = []


def read_json(body: bytes, read: Callable[[JsonObject], T]) -> T:
    """Parse a body and hand its object to a function; safe in any number of threads.

    Args:
        body: JSON, an object.
        read: Keeps no part of what it is given.

    Returns:
        What `read` does.

    Raises:
        RequestError: The body is no JSON (400), or no object (422), or what `read` raises.
    """
    try:
        parser = _parsers.pop()
    except IndexError:
        parser = Parser()
    result = read(_parse(parser, body))
    _parsers.append(parser)
    return result


def check_members(request: JsonObject, known: tuple[str, ...], required: str) -> set[str]:
    """Check that an object has no member but those known, none twice, and the required one.

    Returns:
        The names of its members.

    Raises:
        RequestError: It has others, or lacks it (422).
    """
    names = []
    for name in request:
        names.append(name)
        if len(names) > len(known):  # which tells of a fault already
            break
    optional = [json.dumps(name) for name in known if name != required]
    expected = f'expected "{required}"'
    if optional:
        expected += f" and, where needed, {' or '.join(optional)}"
    if unknown := [quoted(name) for name in names if name not in known]:
        raise RequestError(422, f"{expected}, got {' and '.join(unknown)}")
    if len(names) > len(set(names)):
        raise RequestError(422, f"{expected}, got one of them twice")
    if required not in names:
        raise RequestError(422, f'{expected}, got no "{required}"')
    return set(names)


def quoted(value: Any) -> str:
    """Show what came, in a few words."""
    if isinstance(value, JsonArray | list):
        return f"an array of {len(value)}"
    if isinstance(value, JsonObject | dict):
        return "an object"
    return json.dumps(value)[:_LONGEST_QUOTE]


def _parse(parser: Parser, body: bytes) -> JsonObject:
    try:
        request = parser.parse(body)
    except (ValueError, RuntimeError):
        raise _malformed(body) from None
    if not isinstance(request, JsonObject):
        raise RequestError(422, f"expected a JSON object, got {quoted(request)}")
    return request


def _malformed(body: bytes) -> RequestError:
    """Find out what the parser does not like, and where."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return RequestError(400, f"malformed JSON: expected UTF-8, got none at byte {error.start}")
    try:
        # No document ends in this byte: orjson always stops at a fault, and never goes on to make
        # objects, a hundred bytes for each byte of a hostile body.
        orjson.loads(body.removeprefix(codecs.BOM_UTF8) + b"\0")
    except orjson.JSONDecodeError as error:
        fault, place = error.msg, f"line {error.lineno} column {error.colno}"
        # The fault of -Infinity is found after its sign.
        number = _NUMBER.match(error.doc, error.pos - error.doc.startswith("-", error.pos - 1))
        well_formed = error.pos == len(error.doc) - 1 and "after document" in fault
    if number and not math.isfinite(float(number[0])):
        got = number[0][:_LONGEST_QUOTE]
        return RequestError(422, f"expected finite numbers, got {got} at {place}")
    if well_formed:
        return RequestError(422, "expected numbers in range, got an integer beyond 64 bits")
    return RequestError(400, f"malformed JSON: {fault} at {place}")

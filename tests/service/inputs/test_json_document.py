import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from service.errors import RequestError
from service.json_body import check_members, quoted, read_json


def read_numbers(document: JsonObject) -> Any:
    numbers = document["numbers"]
    return list(numbers) if isinstance(numbers, JsonArray) else numbers


@given(body=st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_no_body_raises_anything_else(body: bytes) -> None:
    with pytest.raises(RequestError):
        read_json(body, read_numbers)


@given(
    at=st.integers(0, 60), piece=st.sampled_from([b"", b"[", b"]", b",", b"-", b"e9", b'"', b"\\"])
)
def test_a_fault_is_refused_or_valid_json(at: int, piece: bytes) -> None:
    body = json.dumps({"numbers": [1.5, -2, 30], "name": "x", "flag": True}).encode()
    body = body[:at] + piece + body[at + 1 :]
    with suppress(RequestError):
        assert read_json(body, list) == list(json.loads(body))


@pytest.mark.parametrize("unit", [b"0,", b"[],", b"NaN,", b'"a",', b"{},", b"[", b'"\\u0000"'])
@pytest.mark.parametrize("tail", [b"", b"NaN]}", b"9" * 30 + b"]}"])
def test_a_large_hostile_body_gets_a_short_answer(unit: bytes, tail: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read_json(b'{"numbers": [' + unit * 100_000 + tail, read_numbers)
    assert caught.value.status in (400, 422)
    assert len(caught.value.detail) < 300


def test_a_parser_goes_on_after_an_error() -> None:
    def fail(document: JsonObject) -> None:
        raise RequestError(422, quoted(document["numbers"]))

    for _ in range(3):
        with pytest.raises(RequestError, match="an array of 2"):
            read_json(b'{"numbers": [1, 2]}', fail)
        assert read_json(b'{"numbers": [3]}', read_numbers) == [3]


@pytest.mark.parametrize("body", [b"[1]", b"7", b'"a"', b"null", b"true"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="expected a JSON object, got") as caught:
        read_json(body, read_numbers)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1, "b": 2}', None),
        (b'{"a": 1}', None),
        (b'{"b": 1}', 'expected "a" and, where needed, "b", got no "a"'),
        (b"{}", 'got no "a"'),
        (b'{"a": 1, "c": 2}', 'got "c"'),
        (b'{"a": 1, "a": 2}', "got one of them twice"),
        (b"{" + b'"c": 1, ' * 9 + b'"a": 1}', 'got "c" and "c" and "c"$'),
    ],
)
def test_members(body: bytes, words: str | None) -> None:
    def check(document: JsonObject) -> set[str]:
        return check_members(document, ("a", "b"), "a")

    if words is None:
        assert read_json(body, check) == set(json.loads(body))
    else:
        with pytest.raises(RequestError, match=words):
            read_json(body, check)


def test_what_came_is_shown_in_a_few_words() -> None:
    values = [None, True, 1.5, "a" * 500, [1, 2], {"a": 1}]
    shown = ["null", "true", "1.5", '"' + "a" * 99, "an array of 2", "an object"]
    assert list(map(quoted, values)) == shown

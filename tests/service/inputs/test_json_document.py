from typing import Any

import pytest
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from service.errors import RequestError
from service.inputs import json_document
from service.inputs.json_document import quoted, read_members


def read_json(body: bytes, read: Any, max_structure: int = 1_000_000) -> Any:
    return json_document.read_json(
        body,
        lambda document, brackets: read(document),
        max_structure=max_structure,
        too_large="too large",
    )


def read_array(document: JsonObject) -> Any:
    numbers = document["numbers"]
    return list(numbers) if isinstance(numbers, JsonArray) else numbers


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "line 1 column 1"),
        (b'{"a": [1,\n2', 400, "line 2 column 2"),
        (b'{"a": 1} {}', 400, "after"),
        (b'{"a": "\xff"}', 400, "UTF-8"),
        (b"[" * 2000, 400, "depth"),
        (b'{"a": NaN}', 422, "finite numbers.*line 1 column 7"),
        (b'{"a": 18446744073709551616}', 422, "64 bits"),
        (b"[1]", 422, "a JSON object, got an array of 1"),
        (b'"' + b"a" * 500 + b'"', 422, "a{99}$"),
    ],
)
def test_an_error_names_the_fault_and_its_place(body: bytes, status: int, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read_json(body, read_array, max_structure=10_000_000)
    assert caught.value.status == status


def test_structure_is_counted_before_parsing() -> None:
    body = b'{"numbers": [' + b"0," * 20 + b"0]}"  # 20 commas and two opening brackets
    assert read_json(body, read_array, max_structure=22) == [0] * 21
    for malformed in (body, body[:-1] + b"]"):
        with pytest.raises(RequestError, match="too large") as caught:
            read_json(malformed, read_array, max_structure=21)
        assert caught.value.status == 422


def test_a_parser_works_again_after_an_error() -> None:
    def fail(document: JsonObject) -> None:
        raise RequestError(422, quoted(document["numbers"]))

    for _ in range(3):
        with pytest.raises(RequestError, match="an array of 2"):
            read_json(b'{"numbers": [1, 2]}', fail)
        assert read_json(b'{"numbers": [3]}', read_array) == [3]


@pytest.mark.parametrize(
    ("body", "strict", "expected"),
    [
        (b'{"a": 1, "b": 2}', True, {"a": 1, "b": 2}),
        (b'{"a": 1, "c": 2}', False, {"a": 1}),
        (b'{"a": 1, "c": 2}', True, 'got "c"'),
        (b'{"a": 1, "a": 2}', False, "twice"),
    ],
)
def test_unknown_members_are_errors_or_ignored_and_repeated_ones_errors(
    body: bytes, strict: bool, expected: Any
) -> None:
    def read(document: JsonObject) -> Any:
        return read_members(document, ("a", "b"), "it", strict=strict)

    if isinstance(expected, dict):
        assert read_json(body, read) == expected
    else:
        with pytest.raises(RequestError, match=expected) as caught:
            read_json(body, read)
        assert caught.value.status == 422

"""The document, arranged for a page."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any, NamedTuple

from service.openapi.files import file_name
from service.openapi.parts import FOLDER, Json
from service.openapi.subject import Subject

# How much of an array is shown: numbers, and arrays.
_MOST_NUMBERS = 10
_MOST_ROWS = 2


class Command(NamedTuple):
    """A request that can be sent.

    Attributes:
        title: What is special about it.
        line: For a shell; `{origin}` stands for where the service is.
        body: What is sent, shortened; None where it is not for reading.
    """

    title: str
    line: str
    body: str | None


class Answer(NamedTuple):
    """What may come back.

    Attributes:
        status: The code.
        phrase: Its name.
        meaning: What it says of the request.
        content_types: What the body can be.
        body: An example, shortened, if there is one.
    """

    status: str
    phrase: str
    meaning: str
    content_types: Sequence[str]
    body: str | None


class Parameter(NamedTuple):
    """A part of a path, or a header."""

    name: str
    place: str
    required: bool
    description: str
    example: Any


class Operation(NamedTuple):
    """A method of a path."""

    anchor: str
    method: str
    path: str
    summary: str
    paragraphs: Sequence[str]
    parameters: Sequence[Parameter]
    commands: Sequence[Command]
    answers: Sequence[Answer]


class Section(NamedTuple):
    """Operations that belong together."""

    anchor: str
    name: str
    description: str
    operations: Sequence[Operation]


class Page(NamedTuple):
    """All that the page shows."""

    title: str
    paragraphs: Sequence[str]
    subject: Subject
    headers: Sequence[Parameter]
    sections: Sequence[Section]


def make_page(document: Json, subject: Subject) -> Page:
    """Arrange a document of OpenAPI for the page."""
    operations = [
        (operation["tags"][0], _operation(document, path, method, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    return Page(
        title=document["info"]["title"],
        paragraphs=_paragraphs(document["info"]["description"]),
        subject=subject,
        headers=[_parameter(header) for header in document["components"]["parameters"].values()],
        sections=[
            Section(
                f"about-{re.sub('[^a-z0-9]+', '-', tag['name'].lower())}",
                tag["name"],
                tag["description"],
                [operation for section, operation in operations if section == tag["name"]],
            )
            for tag in document["tags"]
        ],
    )


def _operation(document: Json, path: str, method: str, operation: Json) -> Operation:
    responses = [
        _answer(status, _resolve(document, response))
        for status, response in operation["responses"].items()
    ]
    return Operation(
        operation["operationId"],
        method.upper(),
        path,
        operation["summary"],
        _paragraphs(operation["description"]),
        [_parameter(parameter) for parameter in operation.get("parameters", [])],
        list(_commands(path, operation)),
        responses,
    )


def _parameter(parameter: Json) -> Parameter:
    return Parameter(
        parameter["name"],
        parameter["in"],
        parameter.get("required", False),
        parameter["description"],
        parameter.get("example"),
    )


def _answer(status: str, response: Json) -> Answer:
    content: Json = response["content"]
    shown = (
        shorten(example["value"])
        for media in content.values()
        for example in media.get("examples", {}).values()
    )
    return Answer(
        status,
        HTTPStatus(int(status)).phrase,
        response["description"],
        list(content),
        next(shown, None),
    )


def _commands(path: str, operation: Json) -> Iterator[Command]:
    curl = 'curl -H "X-API-Key: $API_KEY"' if "security" in operation else "curl"
    target = "{origin}" + path
    for parameter in operation.get("parameters", []):
        target = target.replace(f"{{{parameter['name']}}}", str(parameter.get("example")))
    for media_type, media in operation.get("requestBody", {"content": {}})["content"].items():
        for name, example in media.get("examples", {}).items():
            file, body = example.get("externalValue"), None
            if file is None:
                file = FOLDER + file_name(operation["operationId"], name, media_type)
                body = shorten(example["value"])
            headers = {"Content-Type": media_type} | example.get("x-headers", {})
            options = [f"-H '{header}: {value}' \\\n" for header, value in headers.items()]
            send = "  ".join([*options, f"--data-binary @- {target}"])
            line = f"{curl} -s {{origin}}{file} |\n  {curl} {send}"
            yield Command(example.get("summary", ""), line, body)
        for name, example in media.get("x-example-files", {}).items():
            form = f"-F '{name}=@-;filename={name}' {target}"
            line = f"{curl} -s {{origin}}{example['externalValue']} |\n  {curl} {form}"
            yield Command(example["summary"], line, None)
    if "requestBody" not in operation:
        yield Command("", f"{curl} {target}", None)


def shorten(value: Any, indent: str = "") -> str:
    """Write a value as JSON of few lines; an ellipsis stands for what is left out."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        members = [f"{inner}{json.dumps(key)}: {shorten(value[key], inner)}" for key in value]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if all(not isinstance(item, dict | list) for item in value):
        numbers = [json.dumps(item, ensure_ascii=False) for item in islice(value, _MOST_NUMBERS)]
        return f"[{', '.join(numbers + ['…'] * (len(value) > _MOST_NUMBERS))}]"
    rows = [inner + shorten(item, inner) for item in islice(value, _MOST_ROWS)]
    rows += [f"{inner}…"] * (len(value) > _MOST_ROWS)
    return "[\n" + ",\n".join(rows) + f"\n{indent}]"


def _resolve(document: Json, value: Mapping[str, Any]) -> Json:
    """Follow a reference into the components."""
    if "$ref" not in value:
        return dict(value)
    target: Any = document
    for name in value["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return dict(target)


def _paragraphs(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in text.split("\n\n")]

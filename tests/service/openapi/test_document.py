"""The document is true: of every route, and of what each of its examples gives."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import numpy as np
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.openapi import Subject, describe
from service.settings import Settings
from tests.service.conftest import make_app, publish
from tests.service.server import ROOT

EXAMPLE_PATH = {
    "name": "mnist",
    "version": "1",
    "file": "predict.image.json",
    "filename": "draw.js",
}
SUBJECT = Subject(
    model="mnist",
    version=1,
    input_shape=(28, 28),
    labels=range(10),
    max_batch=8,
    max_body_bytes=2**18,
    probabilities=[0.0] * 10,
)


class Call(NamedTuple):
    """A request that the document shows, and the operation that it belongs to."""

    operation: dict[str, Any]
    method: str
    path: str
    content_type: str | None
    example: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.content_type or ''}"


def calls(document: dict[str, Any]) -> Iterator[Call]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            content = operation.get("requestBody", {}).get("content", {})
            for content_type, media in content.items():
                for example in media.get("examples", {}).values():
                    yield Call(operation, method, path, content_type, example)
                if files := media.get("x-example-files"):
                    yield Call(operation, method, path, content_type, files)
            if not content:
                yield Call(operation, method, path, None, {})


CALLS = list(calls(describe(SUBJECT)))


def send(client: FlaskClient, call: Call) -> TestResponse:
    example, content_type = call.example, call.content_type
    options: dict[str, Any] = {"headers": example.get("x-headers", {})}
    if content_type == "multipart/form-data":
        options["data"] = {
            name: (io.BytesIO(client.get(file["externalValue"]).data), name)
            for name, file in example.items()
        }
    elif "externalValue" in example:
        options["data"] = client.get(example["externalValue"]).data
    elif content_type == "application/json":
        options["json"] = example["value"]
    elif content_type:
        options["data"] = example["value"]
    path = call.path.format_map(EXAMPLE_PATH)
    return client.open(path, method=call.method.upper(), content_type=content_type, **options)


def resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    for name in value["$ref"].removeprefix("#/").split("/"):
        document = document[name]
    return document


def check_documented(
    document: dict[str, Any], operation: dict[str, Any], response: TestResponse
) -> None:
    """Check a response's status, content type, headers and body."""
    documented = resolve(document, operation["responses"][str(response.status_code)])
    for name, reference in documented["headers"].items():
        header = resolve(document, reference)
        assert name in response.headers or not header.get("required")
    assert response.mimetype in documented["content"] or "*/*" in documented["content"]
    schema = documented["content"].get(response.mimetype, {}).get("schema")
    if schema:
        body = response.get_json() if response.is_json else response.text
        jsonschema_rs.validate({**schema, "components": document["components"]}, body)


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.content_type == "application/json"
    answer: dict[str, Any] = response.get_json()
    return answer


def test_it_is_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    names = [call.operation["operationId"] for call in calls(document)]
    operations = {
        (path, method)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert len(set(names)) == len(operations)


def test_its_schemas_are_schemas(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    for call in CALLS:
        for media in call.operation.get("requestBody", {}).get("content", {}).values():
            jsonschema_rs.meta.validate(media.get("schema", {}))


def test_it_has_every_route_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        # Flask answers these wherever there is a route.
        if method not in {"HEAD", "OPTIONS"}
    }
    documented = {(call.path, call.method) for call in calls(document)}
    assert documented == routes


def test_its_parameters_are_those_of_the_paths(document: dict[str, Any]) -> None:
    for call in calls(document):
        parameters = call.operation.get("parameters", [])
        in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", call.path))


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_its_examples_run(client: FlaskClient, document: dict[str, Any], call: Call) -> None:
    response = send(client, call)
    assert response.status_code == 200
    check_documented(document, call.operation, response)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_its_examples_are_of_its_own_schemas(document: dict[str, Any], call: Call) -> None:
    media = call.operation.get("requestBody", {}).get("content", {}).get(call.content_type, {})
    schema = media.get("schema")
    if schema and "value" in call.example:
        components = {"components": describe(SUBJECT)["components"]}
        jsonschema_rs.validate({**schema, **components}, call.example["value"])


def test_examples_of_answers_are_of_their_schemas(document: dict[str, Any]) -> None:
    count = 0
    for call in calls(document):
        for reference in call.operation["responses"].values():
            for media in resolve(document, reference)["content"].values():
                for example in media.get("examples", {}).values():
                    schema = {**media["schema"], "components": document["components"]}
                    jsonschema_rs.validate(schema, example["value"])
                    count += 1
    assert count > len(CALLS)


@pytest.mark.parametrize(
    "name", ["predict", "infer", "inferOfVersion", "predictV1", "predictV1OfVersion", "invoke"]
)
def test_examples_of_answers_are_the_model_s_own(
    client: FlaskClient, document: dict[str, Any], name: str
) -> None:
    call = next(call for call in calls(document) if call.operation["operationId"] == name)
    media = call.operation["responses"]["200"]["content"]["application/json"]
    check_alike(send(client, call).get_json(), media["examples"]["answer"]["value"])


def check_alike(value: Any, other: Any) -> None:
    if isinstance(value, dict):
        assert value.keys() == other.keys()
        for name in value:
            check_alike(value[name], other[name])
    elif isinstance(value, list) and value and isinstance(value[0], float):
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-3)
    elif isinstance(value, list):
        assert len(value) == len(other)
        for element, other_element in zip(value, other, strict=True):
            check_alike(element, other_element)
    else:
        assert value == (pytest.approx(other, abs=1e-3) if isinstance(other, float) else other)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_without_a_model_all_answers_are_documented(tmp_path: Path, call: Call) -> None:
    client = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0)).test_client()
    document = client.get("/openapi.json").get_json()
    check_documented(document, call.operation, send(client, call))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"x" * 2**18, b"x" * (2**18 + 1)])
@pytest.mark.parametrize("call", [call for call in CALLS if call.content_type], ids=str)
def test_errors_are_documented(
    client: FlaskClient, document: dict[str, Any], call: Call, body: bytes
) -> None:
    path = call.path.format_map(EXAMPLE_PATH)
    for content_type in (call.content_type, None, "text/plain"):
        response = client.open(path, method=call.method, data=body, content_type=content_type)
        check_documented(document, call.operation, response)


def test_unknown_names_are_documented(client: FlaskClient, document: dict[str, Any]) -> None:
    for call in calls(document):
        for name in {"name", "version", "file"} & set(re.findall(r"{(\w+)}", call.path)):
            path = call.path.format_map(EXAMPLE_PATH | {name: "999"})
            response = client.open(path, method=call.method)
            assert response.status_code == 404
            check_documented(document, call.operation, response)


@pytest.mark.parametrize("shape", [(3, 4), (12,), (2, 3, 2)], ids=str)
def test_it_follows_the_model(tmp_path: Path, shape: tuple[int, ...]) -> None:
    publish(tmp_path, shape, ["shirt", "shoe"])
    app = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0))
    client = app.test_client()
    document = client.get("/openapi.json").get_json()
    image = document["components"]["schemas"]["GreyImages"]["anyOf"][0]
    assert image["minItems"] == image["maxItems"] == 12
    for call in calls(document):
        response = send(client, call)
        assert response.status_code == 200, str(call)
        check_documented(document, call.operation, response)


def test_its_digit_is_that_of_the_examples(client: FlaskClient) -> None:
    digit = (ROOT / "examples" / "digit.json").read_bytes()
    response = client.post("/predict", data=digit, content_type="application/json")
    example = client.get("/docs/examples/predict.image.json").data
    same = client.post("/predict", data=example, content_type="application/json")
    assert same.get_json() == response.get_json()

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.settings import Settings
from tests.service.conftest import MakeClient, make_app
from tests.support.models import publish

IN_PATH = {"name": "mnist", "version": "1"}


class Call(NamedTuple):
    """A request that the document shows."""

    path: str
    method: str
    operation: dict[str, Any]
    content_type: str | None = None
    example: str | None = None


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in {"get", "post"} & methods.keys():
            yield path, method, methods[method]


def calls(document: dict[str, Any]) -> Iterator[Call]:
    for path, method, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for content_type, media in content.items():
            form = {"image": {"$ref": "/drawing.png"}}  # it has no example of its own
            for example in media.get("examples", form).values():
                name = example["$ref"].rpartition("/")[2]
                yield Call(path, method, operation, content_type, name)
        if not content:
            yield Call(path, method, operation)


def resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    for name in value.get("$ref", "").removeprefix("#/").split("/"):
        value = document = document[name] if name else value
    return value


def path_of(call: Call, document: dict[str, Any], **names: str) -> str:
    parameters = [resolve(document, value) for value in call.operation.get("parameters", [])]
    own = {value["name"]: value["example"] for value in parameters if value["in"] == "path"}
    return call.path.format_map(IN_PATH | own | names)


def send(client: FlaskClient, document: dict[str, Any], call: Call) -> TestResponse:
    options: dict[str, Any] = {"content_type": call.content_type}
    if call.example:
        body = client.get(f"/docs/examples/{call.example}").data
        form = {"image": (io.BytesIO(body), "image.png")}
        options["data"] = form if call.content_type == "multipart/form-data" else body
        example = document["components"]["examples"].get(call.example, {})
        options["headers"] = example.get("x-headers", {})
    return client.open(path_of(call, document), method=call.method.upper(), **options)


def check(document: dict[str, Any], call: Call, response: TestResponse) -> None:
    """Compare a response with the status, content type, headers and schema of the document."""
    documented = resolve(document, call.operation["responses"][str(response.status_code)])
    for name, reference in documented["headers"].items():
        assert name in response.headers or not resolve(document, reference).get("required")
    content = documented["content"]
    media = content["*/*"] if "*/*" in content else content[response.mimetype]
    if response.is_json and "schema" in media:
        schema = {**media["schema"], "components": document["components"]}
        jsonschema_rs.validate(schema, response.get_json())


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").get_json()
    return answer


def test_it_has_every_route_and_no_other(client: FlaskClient, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_every_example_is_accepted(client: FlaskClient, document: dict[str, Any]) -> None:
    for call in calls(document):
        response = send(client, document, call)
        assert response.status_code == 200, call
        check(document, call, response)


def test_every_error_is_documented(
    client: FlaskClient, make_client: MakeClient, document: dict[str, Any]
) -> None:
    for call in {call.path: call for call in calls(document) if call.content_type}.values():
        for content_type in (call.content_type, None, "text/plain"):
            for body in (b"", b"{", b"[]", b"x" * (2**18 + 1)):
                path = path_of(call, document)
                for headers in ({}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}):
                    options: Any = {"content_type": content_type, "headers": headers}
                    check(document, call, client.post(path, data=body, **options))
    for call in calls(document):
        for name in re.findall(r"{(\w+)}", call.path):
            response = client.open(path_of(call, document, **{name: "999"}), method=call.method)
            assert response.status_code == 404
            check(document, call, response)
    without_model = make_client(model_name="letters")
    for call in calls(without_model.get("/openapi.json").get_json()):
        check(document, call, send(without_model, document, call))


def test_the_example_response_is_the_answer_of_the_model(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    call = next(call for call in calls(document) if call.example == "predict.image.json")
    shown = call.operation["responses"]["200"]["content"]["application/json"]["example"]
    answer = send(client, document, call).get_json()
    for name in ("label", "confidence", "probabilities"):
        assert answer["predictions"][0][name] == pytest.approx(shown["predictions"][0][name])


def test_it_follows_the_model(tmp_path: Path) -> None:
    publish(tmp_path, (3, 4), ["shirt", "shoe"])
    client = make_app(Settings(model_dir=str(tmp_path), max_batch=5)).test_client()
    document = client.get("/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    assert schemas["FlatLevels"]["minItems"] == schemas["FlatLevels"]["maxItems"] == 12
    assert schemas["Label"]["enum"] == ["shirt", "shoe"]
    assert schemas["ProbabilityRows"]["maxItems"] == 5
    test_every_example_is_accepted(client, document)

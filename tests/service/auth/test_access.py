"""With API keys, only who has one is answered, and only health without one."""

import logging
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.gate import HEALTH_PATHS
from service.settings import Settings
from tests.service.conftest import make_app, publish
from tests.service.test_openapi import calls, check_documented, send

KEYS = frozenset({"the-old-key", "the-new-key"})


@pytest.fixture
def keyed(tmp_path: Path) -> FlaskClient:
    publish(tmp_path)
    return make_app(Settings(model_dir=str(tmp_path), api_keys=KEYS)).test_client()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer the-old-key"},
        {"Authorization": "Bearer the-new-key"},
        {"Authorization": "bearer  the-new-key "},
        {"X-API-Key": "the-old-key"},
        {"X-API-Key": "the-new-key", "Authorization": "Basic eDp5"},
    ],
    ids=str,
)
def test_any_key_will_do(keyed: FlaskClient, headers: dict[str, str]) -> None:
    assert keyed.get("/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "got"),
    [
        ({}, "got none"),
        ({"Authorization": "Bearer"}, "got none"),
        ({"Authorization": "Bearer the-old-ke"}, "got another"),
        ({"Authorization": "Bearer the-old-key,the-new-key"}, "got another"),
        ({"Authorization": "the-old-key"}, "got none"),
        ({"Authorization": "Basic the-old-key"}, "got none"),
        ({"X-API-Key": ""}, "got none"),
        ({"X-API-Key": "the-old-key-"}, "got another"),
        ({"X-API-Key": "clé"}, "got another"),
        ({"X-API-Key": "x" * 5000}, "got another"),
        ({"Cookie": "X-API-Key=the-old-key"}, "got none"),
    ],
    ids=str,
)
def test_nothing_else_will(keyed: FlaskClient, headers: dict[str, str], got: str) -> None:
    response = keyed.get("/models", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert got in response.get_json()["detail"]


def test_without_keys_any_request_will_do(client: FlaskClient) -> None:
    assert client.get("/models", headers={"X-API-Key": "whatever"}).status_code == 200


def test_health_needs_none_and_everything_else_one(keyed: FlaskClient) -> None:
    document = keyed.get("/openapi.json", headers={"X-API-Key": "the-old-key"}).get_json()
    assert set(document["paths"]) >= HEALTH_PATHS
    for call in calls(document):
        response = keyed.open(call.path, method=call.method)
        needs_none = call.path in HEALTH_PATHS
        assert response.status_code == (200 if needs_none else 401), call.path
        assert ("security" in call.operation) is not needs_none
        check_documented(document, call.operation, response)


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/health/../models", "/health/", "/healthy", "/PING"]
)
def test_what_only_looks_like_health_needs_one(keyed: FlaskClient, path: str) -> None:
    assert keyed.get(path).status_code == 401


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/predict", "application/problem+json"), ("/v2/models/mnist/infer", "application/json")],
)
def test_the_error_is_in_the_form_of_the_path(
    keyed: FlaskClient, path: str, content_type: str
) -> None:
    response = keyed.post(path, data=b"x" * 100_000)
    assert response.status_code == 401
    assert response.content_type == content_type
    assert response.get_json()["request_id"] == response.headers["X-Request-ID"]


def test_with_a_key_every_example_runs(keyed: FlaskClient) -> None:
    keyed.environ_base["HTTP_X_API_KEY"] = "the-new-key"
    document = keyed.get("/openapi.json").get_json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
    for call in calls(document):
        response = send(keyed, call)
        assert response.status_code == 200, str(call)
        check_documented(document, call.operation, response)


def test_the_page_s_commands_send_one(keyed: FlaskClient) -> None:
    page = keyed.get("/docs", headers={"X-API-Key": "the-old-key"}).text
    assert "curl -H &#34;X-API-Key: $API_KEY&#34; -s http://localhost/docs/examples" in page
    assert "curl http://localhost/health<" in page


def test_no_key_is_told(
    keyed: FlaskClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = repr(Settings(model_dir=str(tmp_path), api_keys=KEYS))
    for path in ("/", "/models", "/metrics", "/openapi.json", "/docs", "/nowhere"):
        for headers in ({"X-API-Key": "the-old-key"}, {"Authorization": "Bearer the-wrong-key"}):
            told += keyed.get(path, headers=headers).text
    told += "".join(str(vars(record)) for record in caplog.records)
    assert "/models" in told
    for key in (*KEYS, "the-wrong-key"):
        assert key not in told

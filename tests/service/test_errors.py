from typing import Any
from unittest.mock import Mock

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore import Predictor
from tests.service.conftest import MakeClient, check_error

IMAGE = {"pixels": [0] * 784}
JSON: Any = {"content_type": "application/json"}


def check_problem(response: TestResponse, status: int, words: str) -> None:
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    document = response.get_json()
    assert {"type", "title", "detail", "error"} < set(document)
    assert document["status"] == status
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert words in document["detail"]


def test_an_error_is_a_problem_document(client: FlaskClient) -> None:
    check_problem(client.get("/nowhere"), 404, "/nowhere")
    check_problem(client.post("/predict", data=b"{}", content_type="text/csv"), 415, "text/csv")
    check_problem(client.post("/predict", data=b" " * (2**18 + 1), **JSON), 413, "")
    check_problem(client.post("/predict", data=b" " * 2**18, **JSON), 400, "JSON")
    check_problem(client.post("/predict", json={}), 422, "pixels")
    response = client.get("/predict")
    check_problem(response, 405, "POST")
    assert "POST" in response.headers["Allow"]
    assert client.head("/nowhere").data == b""
    for path in ("/v1/models/mnist:predict", "/v2/models", "/invocations"):
        check_error(client.delete(path), 405)


def test_without_a_model_the_service_is_alive_but_not_ready(make_client: MakeClient) -> None:
    client = make_client(model_name="letters")
    assert client.get("/health/live").get_json() == {"status": "alive"}
    for response in (client.get("/health/ready"), client.post("/predict", json=IMAGE)):
        check_problem(response, 503, "no model 'letters'")
        assert int(response.headers["Retry-After"]) > 0


def test_an_internal_error_is_logged_not_shown_and_affects_no_other_request(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict", Mock(side_effect=ZeroDivisionError("a secret")))
        response = client.post("/predict", json=IMAGE)
    check_problem(response, 500, "internal error")
    assert "secret" not in response.text
    assert "a secret" in caplog.text
    assert len(client.post("/predict", json=IMAGE).get_json()["predictions"]) == 1
    # The scrape is itself in flight, and the failed request no longer is.
    assert "\nnodestack_requests_in_flight 1.0\n" in client.get("/metrics").text

import json
import tomllib
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore.repository import PublishedModel
from tests.service.conftest import MakeClient, check_error, check_probabilities
from tests.support.server import ROOT

IMAGES = np.random.default_rng(0).random((2, 28, 28), np.float32)
ROWS: list[Any] = IMAGES.tolist()
FLAT: list[Any] = IMAGES.reshape(2, 784).tolist()
LINE, SECOND = (",".join(map(str, image)) for image in FLAT)
NAMES = ",".join(f'"pixel {number}"' for number in range(784))
PREDICT, INVOKE = "/v1/models/mnist:predict", "/invocations"
JSON, CSV = "application/json", "text/csv"
BLANK = [0] * 784


def post(
    client: FlaskClient, path: str, body: Any, content_type: str | None = JSON
) -> TestResponse:
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(path, data=data, content_type=content_type)


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        (PREDICT, {"signature_name": "serving_default", "instances": ROWS}, None),
        (PREDICT, {"inputs": {"images": FLAT}}, "application/x-www-form-urlencoded"),
        (PREDICT, {"inputs": ROWS, "parameters": {"a": [[1], "["]}, "id": "["}, JSON),
        (INVOKE, {"params": {"a": [[1]], "b": "["}, "inputs": FLAT}, f"{JSON}; charset=utf-8"),
        (INVOKE, {"dataframe_split": {"data": FLAT, "columns": ["p[0]"] * 784}}, JSON),
        (INVOKE, f"{NAMES}\r\n{LINE}\r\n{SECOND}".replace(",", ", "), CSV),
        (INVOKE, f"{LINE}\n{SECOND}\n", CSV),
    ],
)
def test_every_form_is_read(
    client: FlaskClient, published: PublishedModel, path: str, body: Any, content_type: str | None
) -> None:
    response = post(client, path, body, content_type)
    assert response.status_code == 200, response.text
    assert response.headers["X-Model-Version"] == "mnist/1"
    name = "outputs" if path == PREDICT and "inputs" in body else "predictions"
    expected = published.model.predict(IMAGES.reshape(2, 784)).T
    check_probabilities(response.get_json()[name], expected)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (PREDICT, {"instances": []}, "got an array of 0"),
        (PREDICT, {"instances": [{"images": BLANK}] * 9}, "at most 8 images"),
        (PREDICT, {"instances": [{"images": BLANK}, BLANK]}, "instances[1]"),
        (PREDICT, {"instances": [{"images": [BLANK]}]}, "got 1x1x784 numbers"),
        (PREDICT, {"instances": ROWS, "inputs": ROWS}, "got instances and inputs"),
        (PREDICT, b'{"instances": [], "instances": []}', "once"),
        (PREDICT, {"instances": ROWS, "signature_name": "other"}, "serving_default"),
        (PREDICT, {"instances": [[255] * 784]}, "got 255 in image 0"),
        (PREDICT, b"instances=1", "malformed JSON"),
        (INVOKE, {}, "instances, inputs, dataframe_split"),
        (INVOKE, {"dataframe_split": {"data": FLAT[0]}}, "got one image"),
        (INVOKE, NAMES, "at least one image"),
        (INVOKE, f"{LINE}\n\n{LINE}", "784 numbers in lines[1], got 0"),
        (INVOKE, "\n" * 100_000 + "0", "at most 8 images"),
        (INVOKE, f"{LINE}\n" + ",".join(["nan"] * 784), "'n'"),
    ],
)
def test_an_invalid_request_is_explained(
    client: FlaskClient, path: str, body: Any, words: str
) -> None:
    check_error(post(client, path, body, CSV if isinstance(body, str) else JSON), 400, words)


@pytest.mark.parametrize("model", ["other", "mnist/versions/2", "", "mnist/versions/\uff11"])
def test_an_unknown_model_is_not_found(client: FlaskClient, model: str) -> None:
    path = f"/v1/models/{model}"
    check_error(client.get(path), 404)
    check_error(client.get(f"{path}/metadata"), 404)
    check_error(post(client, f"{path}:predict", {"instances": ROWS}), 404)
    check_error(post(client, f"{path}:classify", {}), 404)


def test_status_and_metadata(client: FlaskClient, make_client: MakeClient) -> None:
    status = {"error_code": "OK", "error_message": ""}
    available = {"version": "1", "state": "AVAILABLE", "status": status}
    expected = {"model_version_status": [available], "name": "mnist", "ready": True}
    for path in ("/v1/models/mnist", "/v1/models/mnist/versions/1"):
        assert client.get(path).get_json() == expected
    assert client.get("/v1/models").get_json() == {"models": ["mnist"]}
    metadata = client.get("/v1/models/mnist/metadata").get_json()["metadata"]
    signature = metadata["signature_def"]["signature_def"]["serving_default"]
    shape = signature["inputs"]["images"]["tensor_shape"]["dim"]
    assert [dim["size"] for dim in shape] == ["-1", "28", "28"]
    assert client.get("/ping").status_code == 200
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert client.get("/version").text == project["version"]
    check_error(post(client, INVOKE, {"instances": FLAT}, "application/x-npy"), 415, "text/csv")
    empty = make_client(model_name="letters")
    check_error(empty.get("/ping"), 503)
    check_error(empty.get("/v1/models/letters"), 503)
    check_error(post(empty, INVOKE, {"instances": FLAT}), 503)

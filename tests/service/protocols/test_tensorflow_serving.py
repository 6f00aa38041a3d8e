import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore.repository import PublishedModel
from service.settings import Settings
from tests.service.conftest import MakeClient, check_error, check_probabilities, make_app
from tests.support.models import publish

IMAGES = np.random.default_rng(0).random((2, 28, 28), np.float32)
ROWS: list[Any] = IMAGES.tolist()
FLAT: list[Any] = IMAGES.reshape(2, 784).tolist()
PREDICT = "/v1/models/mnist:predict"
BLANK = [0] * 784


def predict(client: FlaskClient, document: Any, path: str = PREDICT) -> TestResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.post(path, data=body)


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": FLAT}, "predictions"),
        ({"instances": [{"images": image} for image in ROWS]}, "predictions"),
        ({"inputs": ROWS}, "outputs"),
        ({"inputs": {"images": FLAT}}, "outputs"),
        ({"signature_name": "serving_default", "instances": ROWS}, "predictions"),
        ({"instances": ROWS, "parameters": {"a": [[1], "["]}, "id": "["}, "predictions"),
    ],
)
def test_the_response_has_the_form_of_the_request(
    client: FlaskClient, published: PublishedModel, document: Any, answer: str
) -> None:
    for content_type in (None, "application/x-www-form-urlencoded"):
        response = client.post(PREDICT, data=json.dumps(document), content_type=content_type)
        assert response.status_code == 200
        assert response.content_type == "application/json"
        assert response.headers["X-Model-Version"] == "mnist/1"
        assert set(response.get_json()) == {answer}
        expected = published.model.predict(IMAGES.reshape(2, 784)).T
        check_probabilities(response.get_json()[answer], expected)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"instances": []}, "got an array of 0"),
        ({"instances": [{"images": BLANK}] * 9}, "at most 8 images"),
        ({"instances": [{"images": BLANK}, BLANK]}, "instances[1]"),
        ({"instances": [{"images": [BLANK]}]}, "got 1x1x784 numbers"),
        ({"instances": ROWS, "inputs": ROWS}, "got instances and inputs"),
        (b'{"instances": [], "instances": []}', "once"),
        ({"instances": ROWS, "signature_name": "other"}, "serving_default"),
        ({"instances": [[255] * 784]}, "got 255 in image 0"),
        (b"instances=1", "malformed JSON"),
    ],
)
def test_an_invalid_request_is_explained(client: FlaskClient, document: Any, words: str) -> None:
    check_error(predict(client, document), 400, words)


@pytest.mark.parametrize("model", ["other", "mnist/versions/2", "", "mnist/versions/\uff11"])
def test_an_unknown_model_is_not_found(client: FlaskClient, model: str) -> None:
    path = f"/v1/models/{model}"
    check_error(client.get(path), 404)
    check_error(client.get(f"{path}/metadata"), 404)
    check_error(predict(client, {"instances": ROWS}, f"{path}:predict"), 404)
    check_error(predict(client, {}, f"{path}:classify"), 404)


def test_the_status_of_a_model_is_for_tensorflow_and_kserve(
    client: FlaskClient, make_client: MakeClient
) -> None:
    available = {"version": "1", "state": "AVAILABLE"}
    available |= {"status": {"error_code": "OK", "error_message": ""}}
    expected = {"model_version_status": [available], "name": "mnist", "ready": True}
    for path in ("/v1/models/mnist", "/v1/models/mnist/versions/1"):
        assert client.get(path).get_json() == expected
    assert client.get("/v1/models").get_json() == {"models": ["mnist"]}
    empty = make_client(model_name="letters")
    check_error(empty.get("/v1/models/letters"), 503)
    response = predict(empty, {"instances": ROWS}, "/v1/models/letters:predict")
    check_error(response, 503)
    assert int(response.headers["Retry-After"]) > 0


def test_a_damaged_version_does_not_answer(tmp_path: Path) -> None:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    (tmp_path / "mnist" / "2" / "model.safetensors").write_bytes(b"damaged")
    client = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0)).test_client()
    for version, status in ((1, 200), (2, 503), (3, 200)):
        path = f"/v1/models/mnist/versions/{version}"
        assert predict(client, {"instances": ROWS}, f"{path}:predict").status_code == status
    versions = client.get("/v1/models/mnist").get_json()["model_version_status"]
    states = {version["version"]: version["state"] for version in versions}
    assert states == {"3": "AVAILABLE", "2": "END", "1": "AVAILABLE"}
    assert versions[1]["status"]["error_code"] == "DATA_LOSS"


def test_metadata(client: FlaskClient) -> None:
    document = client.get("/v1/models/mnist/metadata").get_json()
    assert document["model_spec"] == {"name": "mnist", "signature_name": "", "version": "1"}
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    for tensor, shape in (
        (signature["inputs"]["images"], ["-1", "28", "28"]),
        (signature["outputs"]["probabilities"], ["-1", "10"]),
    ):
        assert tensor["dtype"] == "DT_FLOAT"
        assert [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == shape

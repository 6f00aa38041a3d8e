"""TensorFlow Serving's REST protocol and KServe's v1."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore.repository import PublishedModel
from service.settings import Settings
from tests.service.conftest import make_app
from tests.support.models import publish

IMAGES = np.random.default_rng(0).random((2, 28, 28), np.float32)
ROWS: list[Any] = IMAGES.tolist()
FLAT: list[Any] = IMAGES.reshape(2, 784).tolist()
PREDICT = "/v1/models/mnist:predict"
BLANK = [0] * 784


def predict(client: FlaskClient, document: Any, path: str = PREDICT) -> TestResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.post(path, data=body)


def check_error(response: TestResponse, status: int, words: str = "") -> None:
    assert response.status_code == status
    assert response.content_type == "application/json"
    document = response.get_json()
    assert set(document) == {"error", "request_id"}
    assert len(document["error"]) < 400
    assert words in document["error"]


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": FLAT}, "predictions"),
        ({"instances": ROWS}, "predictions"),
        ({"instances": [{"images": image} for image in FLAT]}, "predictions"),
        ({"instances": [{"images": image} for image in ROWS]}, "predictions"),
        ({"inputs": ROWS}, "outputs"),
        ({"inputs": {"images": FLAT}}, "outputs"),
        ({"signature_name": "serving_default", "instances": ROWS}, "predictions"),
        ({"instances": ROWS, "parameters": {"a": [[1], "["]}, "id": "["}, "predictions"),
    ],
)
@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded"])
def test_the_response_has_the_form_of_the_request(
    client: FlaskClient,
    published: PublishedModel,
    document: Any,
    answer: str,
    content_type: str | None,
) -> None:
    response = client.post(PREDICT, data=json.dumps(document), content_type=content_type)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["X-Model-Version"] == "mnist/1"
    assert set(response.get_json()) == {answer}
    expected = published.model.predict(IMAGES.reshape(2, 784)).T
    np.testing.assert_allclose(response.get_json()[answer], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"instances": FLAT[0]}, "an array of images, each 28x28 or 784 numbers, got one image"),
        ({"inputs": ROWS[0]}, "expected inputs to be an array of images"),
        ({"inputs": {"images": ROWS[0]}}, "got one image: put it into an array"),
        ({"instances": []}, "got an array of 0"),
        ({"instances": [ROWS]}, "got 1x2x28x28 numbers"),
        ({"instances": {"images": FLAT}}, "got an object"),
        ({"instances": [{"images": BLANK}] * 9}, "at most 8 images per request, got 9"),
        ({"instances": [{"images": BLANK}, BLANK]}, "expected instances[1] to be an object"),
        ({"instances": [BLANK, {"images": BLANK}]}, "784 numbers in instances[1], got an object"),
        ({"instances": [{"images": [BLANK]}]}, "got 1x1x784 numbers"),
        ({"instances": [{"images": None}]}, "expected instances to be an array of images"),
        ({"instances": [{"images": FLAT[0]}, {"images": ROWS[0]}]}, "numbers in instances[1]"),
        ({"instances": [{"image": BLANK}]}, 'expected "images" in instances[0], got "image"'),
        ({"instances": ROWS, "inputs": ROWS}, "got instances and inputs"),
        (b'{"instances": [], "instances": []}', "expected instances once in the request"),
        ({"pixels": ROWS}, "exactly one of instances, inputs, got none of them"),
        ({"instances": ROWS, "signature_name": "other"}, 'signature_name "serving_default"'),
        ({"instances": [[255] * 784]}, "got 255 in image 0: divide grey levels by 255"),
        ({"instances": [[None] * 784]}, "expected numbers in instances[0], got null at 0"),
        ({"instances": [[float("nan")]]}, "expected finite numbers"),
        (ROWS, "expected a JSON object, got an array of 2"),
        (b"instances=1", "malformed JSON"),
    ],
)
def test_an_invalid_request_is_explained(client: FlaskClient, document: Any, words: str) -> None:
    check_error(predict(client, document), 400, words)


@pytest.mark.parametrize(
    "model",
    [
        *("other", "x" * 5000, "mnist/versions/2", "%2e%2e", "", "/versions/1", "../../etc/passwd"),
        *(f"mnist/versions/{version}" for version in ("0", "-1", "\uff11", "x", "9" * 5000)),
    ],
)
def test_an_unknown_model_is_not_found(client: FlaskClient, model: str) -> None:
    path = f"/v1/models/{model}"
    check_error(client.get(path), 404)
    check_error(client.get(f"{path}/metadata"), 404)
    check_error(predict(client, {"instances": ROWS}, f"{path}:predict"), 404)


def test_another_method_or_verb(client: FlaskClient) -> None:
    check_error(client.get(PREDICT), 405, "expected POST, got GET")
    check_error(client.post("/v1/models/mnist"), 405, "expected GET, got POST")
    check_error(predict(client, {}, "/v1/models/mnist:classify"), 404)


def test_the_status_of_a_model_is_for_tensorflow_and_kserve(client: FlaskClient) -> None:
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    expected = {"model_version_status": [available], "name": "mnist", "ready": True}
    for path in ("/v1/models/mnist", "/v1/models/mnist/versions/1"):
        assert client.get(path).get_json() == expected
    assert client.get("/v1/models").get_json() == {"models": ["mnist"]}


def test_the_status_of_every_version(tmp_path: Path) -> None:
    published = [publish(tmp_path, seed=seed) for seed in range(3)]
    weights = tmp_path / "mnist" / "2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    client = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0)).test_client()
    check_error(predict(client, {"instances": ROWS}, "/v1/models/mnist/versions/2:predict"), 503)
    for version in (1, 3):
        response = predict(
            client, {"instances": ROWS}, f"/v1/models/mnist/versions/{version}:predict"
        )
        assert response.headers["X-Model-Version"] == f"mnist/{version}"
        expected = published[version - 1].model.predict(IMAGES.reshape(2, 784)).T
        np.testing.assert_allclose(response.get_json()["predictions"], expected, atol=1e-6, rtol=0)

    status = client.get("/v1/models/mnist").get_json()
    versions = status["model_version_status"]
    assert [version["version"] for version in versions] == ["3", "2", "1"]
    assert [version["state"] for version in versions] == ["AVAILABLE", "END", "AVAILABLE"]
    assert versions[1]["status"]["error_code"] == "DATA_LOSS"
    assert versions[1]["status"]["error_message"]
    assert status["ready"] is True
    ready = [client.get(f"/v1/models/mnist/versions/{n}").get_json()["ready"] for n in (1, 2, 3)]
    assert ready == [True, False, True]


def test_without_a_sound_version_the_model_is_not_ready(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "mnist" / "1" / "model.safetensors").write_bytes(b"")
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    assert client.get("/v1/models/mnist").get_json()["ready"] is False
    response = predict(client, {"instances": ROWS})
    check_error(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    empty = make_app(Settings(model_dir=str(tmp_path / "none"))).test_client()
    assert empty.get("/v1/models").get_json() == {"models": []}
    check_error(empty.get("/v1/models/mnist"), 503)
    check_error(empty.get("/v1/models/other"), 404)


def test_metadata(tmp_path: Path) -> None:
    publish(tmp_path, (3, 4), ["shirt", "shoe"])
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    for path in ("/v1/models/mnist/metadata", "/v1/models/mnist/versions/1/metadata"):
        document = client.get(path).get_json()
        assert document["model_spec"] == {"name": "mnist", "signature_name": "", "version": "1"}
        signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
        for tensors, name, shape in (
            ("inputs", "images", ["-1", "3", "4"]),
            ("outputs", "probabilities", ["-1", "2"]),
        ):
            tensor = signature[tensors][name]
            assert tensor["dtype"] == "DT_FLOAT"
            assert [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == shape

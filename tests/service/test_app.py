import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore import FCModel, PublishedModel, scale_pixels
from nncore.types import Array
from service import create_app
from service.settings import Settings
from tests.service.conftest import make_app, publish

IMAGE = np.random.default_rng(0).integers(0, 256, (28, 28))
ROWS = IMAGE.tolist()
FLAT = IMAGE.ravel().tolist()


def predict(client: FlaskClient, document: Any) -> TestResponse:
    return client.post(
        "/predict",
        data=document if isinstance(document, bytes) else json.dumps(document).encode(),
        content_type="application/json",
    )


def changed(value: Any, row: int = 3) -> list[Any]:
    """The image's rows with one number changed."""
    rows: list[Any] = IMAGE.tolist()
    rows[row][5] = value
    return rows


def check_problem(response: TestResponse, status: int, *words: str) -> None:
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    document = response.get_json()
    assert set(document) == {"type", "title", "status", "detail", "error", "request_id"}
    assert document["type"] == "about:blank"
    assert document["status"] == status
    assert document["detail"] == document["error"]
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in response.text
    for word in words:
        assert word in document["detail"]


@pytest.mark.parametrize(
    "pixels", [FLAT, ROWS, [FLAT] * 3, [ROWS] * 3], ids=["784", "28x28", "3x784", "3x28x28"]
)
def test_answers_are_the_models_own(
    client: FlaskClient, published: PublishedModel, pixels: Any
) -> None:
    response = predict(client, {"pixels": pixels})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    answer = response.get_json()
    assert (answer["model"], answer["version"]) == ("mnist", 1)
    images: Array = scale_pixels(np.array(pixels, np.float32).reshape(-1, 784))
    expected = published.model.predict(images).T
    assert len(answer["predictions"]) == len(expected)
    for prediction, probabilities in zip(answer["predictions"], expected, strict=True):
        assert set(prediction) == {"label", "confidence", "probabilities"}
        np.testing.assert_allclose(prediction["probabilities"], probabilities, atol=1e-6, rtol=0)
        assert prediction["label"] == probabilities.argmax()
        assert prediction["confidence"] == max(prediction["probabilities"])


def test_both_ranges_give_the_same_answer(client: FlaskClient) -> None:
    grey = predict(client, {"pixels": ROWS}).get_json()["predictions"][0]
    unit = predict(client, {"pixels": (IMAGE / 255).tolist(), "range": [0, 1]}).get_json()
    np.testing.assert_allclose(
        unit["predictions"][0]["probabilities"], grey["probabilities"], atol=1e-6, rtol=0
    )
    same = predict(client, {"range": [0, 255], "pixels": ROWS}).get_json()["predictions"][0]
    assert same == grey


def test_a_model_of_another_shape_with_names_for_labels(tmp_path: Path) -> None:
    published = publish(tmp_path, (3, 4), ["shirt", "shoe", "bag"])
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    pixels = np.arange(24).reshape(2, 3, 4) * 10
    expected = published.model.predict(scale_pixels(pixels)).T
    answer = predict(client, {"pixels": pixels.tolist()}).get_json()
    for prediction, probabilities in zip(answer["predictions"], expected, strict=True):
        assert prediction["label"] == ["shirt", "shoe", "bag"][probabilities.argmax()]
        np.testing.assert_allclose(prediction["probabilities"], probabilities, atol=1e-6, rtol=0)
    check_problem(predict(client, {"pixels": FLAT}), 422, "expected 12 numbers", "got 784")


def test_a_blank_image_and_a_content_type_with_parameters_are_fine(client: FlaskClient) -> None:
    response = client.post(
        "/predict",
        data=json.dumps({"pixels": [0] * 784}),
        content_type="application/json; charset=utf-8",
    )
    assert response.status_code == 200


def test_a_byte_order_mark_is_fine(client: FlaskClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"pixels": FLAT}).encode()
    assert predict(client, body).status_code == 200


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"pixels": FLAT[:-1]}, "expected 784 numbers an image, got 783 in image 0"),
        ({"pixels": [FLAT, FLAT, FLAT, FLAT[:-1]]}, "784 numbers an image, got 783 in image 3"),
        ({"pixels": [FLAT, ROWS]}, "expected 784 numbers an image, got 28 in image 1"),
        ({"pixels": [FLAT, None]}, "expected 784 numbers an image, got null in image 1"),
        ({"pixels": ROWS[:-1]}, "expected 28 rows an image, got 27 in image 0"),
        ({"pixels": [ROWS, ROWS[:-1]]}, "expected 28 rows an image, got 27 in image 1"),
        (
            {"pixels": [ROWS, [ROWS[0][:27], [*ROWS[1], 0], *ROWS[2:]]]},
            "expected 28 numbers a row, got 27 in row 0 of image 1",
        ),
        ({"pixels": [[ROWS]]}, "expected pixels to be 784 or 28x28 numbers, or an array of such"),
        ({"pixels": []}, "expected at least one image, got an empty array"),
        ({"pixels": [[]]}, "got 1 in image 0"),
        ({"pixels": [FLAT] * 9}, "expected at most 8 images a request, got 9"),
        ({"pixels": 7}, "expected pixels to be 784 or 28x28 numbers, or an array of such images"),
        ({"pixels": None}, "got null"),
        ({"pixels": "7" * 1000}, 'got "777'),
        ({"pixels": {"a": 1}}, "got an object"),
        ({"pixels": changed(256)}, "expected numbers from 0 to 255, got 256 in image 0"),
        ({"pixels": [ROWS, changed(-1)]}, "expected numbers from 0 to 255, got -1 in image 1"),
        ({"pixels": changed(255.001)}, "got 255.001 in image 0"),
        ({"pixels": changed(None)}, "expected numbers from 0 to 255, got null in row 3 of image 0"),
        ({"pixels": changed("5")}, 'got "5" in row 3 of image 0'),
        ({"pixels": changed(True)}, "got true in row 3 of image 0"),
        ({"pixels": changed([5])}, "got an array of 1 in row 3 of image 0"),
        ({"pixels": changed({})}, "got an object in row 3 of image 0"),
        ({"pixels": changed(float("nan"))}, "expected finite numbers, got NaN at line 1"),
        ({"pixels": changed(float("-inf"))}, "expected finite numbers, got -Infinity at line 1"),
        (b'{"pixels": [1e999]}', "expected finite numbers, got 1e999 at line 1 column 13"),
        (b'{"pixels": [-1e999]}', "expected finite numbers, got -1e999 at line 1 column 13"),
        (b'{"pixels": [' + b"1" * 5000 + b"]}", "expected finite numbers, got 1111"),
        (b'{"pixels": [18446744073709551616]}', "got an integer beyond 64 bits"),
        ({"pixels": [18446744073709551615] * 784}, "got 1.8446744073709552e+19 in image 0"),
        ({"pixels": (IMAGE / 255).tolist()}, "send 0 to 255, or say that the range is 0 to 1"),
        ({"pixels": [FLAT, [0] * 784, [0, 1] * 392]}, "got only numbers from 0 to 1 in image 2"),
        ({"pixels": FLAT, "range": [0, 1]}, "expected numbers from 0 to 1, got"),
        ({"pixels": FLAT, "range": [0, 2]}, '"range" to be [0, 255] or [0, 1], got [0, 2]'),
        ({"pixels": FLAT, "range": [False, True]}, "got [false, true]"),
        ({"pixels": FLAT, "range": [[0], 1]}, "got [an array of 1, 1]"),
        ({"pixels": FLAT, "range": [0, 1, 2]}, "got an array of 3"),
        ({"pixels": FLAT, "range": None}, "got null"),
        ({"pixels": FLAT, "range": "[0, 1]"}, 'got "[0, 1]"'),
        (
            {"pixels": FLAT, "rnage": [0, 1]},
            '"pixels" and, where needed, "range" or "top_k", got "rnage"',
        ),
        ({"pixels": FLAT, "range": [0, 255], "topk": 3}, 'got "topk"'),
        (b'{"pixels": [1], "pixels": [2]}', "got one of them twice"),
        ({}, 'got no "pixels"'),
        ({"range": [0, 1]}, 'got no "pixels"'),
        (FLAT, "expected a JSON object, got an array of 784"),
        (b"7", "expected a JSON object, got 7"),
        (b"NaN", "expected finite numbers, got NaN"),
    ],
)
def test_what_is_well_formed_but_wrong_is_explained(
    client: FlaskClient, document: Any, words: str
) -> None:
    response = predict(client, document)
    check_problem(response, 422, words)
    assert len(response.get_json()["detail"]) < 300


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "line 1 column 1"),
        (b"pixels=1", "line 1 column 1"),
        (b'{"pixels": [1, 2', "line 1 column 17"),
        (b'{"pixels":\n [1, 2,]}', "line 2 column 7"),
        (b'{"pixels": [01]}', "leading zero"),
        (b'{"pixels": [1 2]}', "line 1 column 15"),
        (b'{"pixels": [1]} {}', "unexpected content after document"),
        (b"{'pixels': [1]}", "line 1 column 2"),
        (b'{"pixels": ["\\ud800"]}', "surrogate"),
        (b'{"pixels": "\xff"}', "expected UTF-8, got none at byte 12"),
        (json.dumps({"pixels": FLAT}).encode("utf-16"), "expected UTF-8"),
        (b"[" * 100_000, "depth limit"),
        (b'{"a":' * 10_000, "depth limit"),
    ],
)
def test_what_is_no_json_is_located(client: FlaskClient, body: bytes, words: str) -> None:
    check_problem(predict(client, body), 400, "malformed JSON", words)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type(client: FlaskClient, content_type: str | None) -> None:
    response = client.post("/predict", data=b"{}", content_type=content_type)
    got = content_type or "no Content-Type"
    check_problem(response, 415, "expected Content-Type: application/json, ", f"got {got}")


def test_a_body_beyond_the_limit(client: FlaskClient) -> None:
    response = predict(client, b" " * (2**18 + 1))
    check_problem(response, 413, "at most 262144 bytes", "got 262145", "fewer images")
    assert predict(client, b" " * 2**18).status_code == 400


def test_an_unknown_path(client: FlaskClient) -> None:
    check_problem(client.get("/nowhere"), 404, "'/nowhere'")
    check_problem(client.post("/predict/"), 404, "'/predict/'")


def test_another_method(client: FlaskClient) -> None:
    response = client.get("/predict")
    check_problem(response, 405, "expected POST, got GET")
    assert "POST" in response.headers["Allow"]
    response = client.delete("/health")
    check_problem(response, 405, "expected GET, got DELETE")
    assert "GET" in response.headers["Allow"]


def test_health(client: FlaskClient) -> None:
    for path in ("/health", "/health/ready"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.get_json() == {"status": "ready", "model": "mnist", "version": 1}
    assert client.get("/health/live").get_json() == {"status": "alive"}


def test_without_a_model_the_service_is_alive_but_not_ready(tmp_path: Path) -> None:
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    assert client.get("/health/live").get_json() == {"status": "alive"}
    for response in (
        client.get("/health"),
        client.get("/health/ready"),
        predict(client, {"pixels": FLAT}),
    ):
        check_problem(response, 503, "no model 'mnist'", "make train")
        assert int(response.headers["Retry-After"]) > 0


def test_a_fault_of_ours_is_logged_and_not_shown(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(FCModel, "predict", fail)
    response = predict(app.test_client(), {"pixels": FLAT})
    check_problem(response, 500, "the service failed")
    assert "secret" not in response.text
    assert "a secret" in caplog.text


def test_settings_come_from_the_environment(
    published: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    assert create_app().test_client().get("/health").status_code == 200

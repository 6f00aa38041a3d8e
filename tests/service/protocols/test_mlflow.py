"""MLflow's scoring protocol, which is also SageMaker's container contract."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from nncore import PublishedModel
from service.errors import RequestError
from service.image_arrays import ImageReader
from service.protocols.mlflow import decode_csv, decode_json
from service.settings import Settings
from tests.service.conftest import make_app, publish
from tests.service.server import ROOT

IMAGES = np.random.default_rng(0).random((2, 784), np.float32)
FLAT: list[Any] = IMAGES.tolist()
ROWS: list[Any] = IMAGES.reshape(2, 28, 28).tolist()
NOTHING = [0] * 784
LINE = ",".join(map(str, FLAT[0]))
LINES = "\n".join(",".join(map(str, image)) for image in FLAT)
NUMBERED = ",".join(map(str, range(784)))
NAMED = ",".join(f'"pixel {number}"' for number in range(784))


def invoke(client: FlaskClient, body: Any, content_type: str | None) -> TestResponse:
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    return client.post("/invocations", data=body, content_type=content_type)


def check_error(response: TestResponse, status: int, words: str) -> None:
    assert response.status_code == status
    assert response.content_type == "application/json"
    document = response.get_json()
    assert set(document) == {"error", "request_id"}
    assert len(document["error"]) < 300
    assert words in document["error"]


def check_answer(response: TestResponse, published: PublishedModel) -> None:
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["X-Model-Version"] == "mnist/1"
    answer = response.get_json()
    assert set(answer) == {"predictions"}
    expected = published.model.predict(IMAGES).T
    np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "document",
    [
        {"instances": FLAT},
        {"instances": ROWS},
        {"instances": [{"images": image} for image in FLAT]},
        {"inputs": ROWS},
        {"inputs": {"images": FLAT}},
        {"dataframe_split": {"data": FLAT}},
        {"dataframe_split": {"columns": list(range(784)), "index": [0, 1], "data": FLAT}},
        {"dataframe_split": {"data": FLAT, "columns": [f"p[{i}]" for i in range(784)]}},
        {"inputs": FLAT, "params": {}},
        {"params": {"a": [[1]], "b": "["}, "inputs": FLAT},
    ],
)
def test_every_form_of_json(client: FlaskClient, published: PublishedModel, document: Any) -> None:
    check_answer(invoke(client, document, "application/json"), published)
    check_answer(invoke(client, document, "application/json; charset=utf-8"), published)


@pytest.mark.parametrize(
    "body",
    [
        LINES,
        LINES + "\n",
        LINES.replace("\n", "\r\n") + "\r\n",
        LINES.replace(",", ", "),
        f"{NUMBERED}\n{LINES}\n",
        f"{NAMED}\r\n{LINES}",
        "\n".join(",".join(f"{number:.18e}" for number in image) for image in FLAT),
    ],
)
def test_every_form_of_csv(client: FlaskClient, published: PublishedModel, body: str) -> None:
    check_answer(invoke(client, body, "text/csv"), published)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, 'exactly one of "instances" and "inputs" and "dataframe_split"'),
        ({"instances": FLAT, "dataframe_split": {"data": FLAT}}, 'got "instances" and "dataframe'),
        ({"dataframe_records": [{"0": 1}]}, "expected dataframe_split, got dataframe_records"),
        ({"dataframe_split": FLAT}, 'an object with "data", got an array of 2'),
        ({"dataframe_split": {}}, 'an object with "data", got an object'),
        ({"dataframe_split": {"data": None}}, "expected data to be an array of images"),
        ({"dataframe_split": {"data": FLAT[0]}}, "got one image: put it into an array"),
        ({"dataframe_split": {"data": ROWS[0]}}, "expected data to be an array of images"),
        ({"dataframe_split": {"data": []}}, "expected at least one image"),
        ({"dataframe_split": {"data": [NOTHING] * 9}}, "at most 8 images a request, got 9"),
        ({"dataframe_split": {"data": [NOTHING[1:]]}}, "got 783 in image 0"),
        ({"dataframe_split": {"data": FLAT, "columns": [1]}}, '"columns" to be an array of 784'),
        ({"dataframe_split": {"data": FLAT, "columns": "abc"}}, 'got "abc"'),
        ({"dataframe_split": {"data": FLAT, "index": [0]}}, '"index" to be an array of 2'),
        ({"dataframe_split": {"data": [[0, [0], *NOTHING[2:]]]}}, "got an array of 1 in image 0"),
        ({"instances": [[2] * 784]}, "from 0 to 1, got 2 in image 0: divide grey levels by 255"),
        ({"instances": [[True] * 784]}, "got true in image 0"),
        ({"instances": FLAT[0]}, "expected instances to be an array of images"),
        ({"inputs": ROWS[0]}, "expected inputs to be an array of images"),
        (FLAT, "expected a JSON object, got an array of 2"),
        (b"", "malformed JSON"),
        (b"[" * 100_000, "depth limit"),
        (b'{"dataframe_split": {"data": [[NaN]]}}', "expected finite numbers, got NaN"),
    ],
)
def test_json_that_is_wrong_is_explained(client: FlaskClient, document: Any, words: str) -> None:
    check_error(invoke(client, document, "application/json"), 400, words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "expected at least one image, got none"),
        ("\n\n", "expected at least one image, got none"),
        (NUMBERED, "expected at least one image, got none"),
        (f"{LINE}\n\n{LINE}", "expected 784 numbers an image, got 0 in image 1"),
        (f"\n{LINE}", "got 0 in image 0"),
        (f"{LINE},", "expected numbers as JSON writes them, with commas between, got others in "),
        (f"{LINE}\n{LINE},0", "expected 784 numbers an image, got 785 in image 1"),
        ("0,1", "expected 784 numbers an image, got 2 in image 0"),
        ("0\n" * 9, "expected at most 8 images a request, got 9"),
        ("\n" * 100_000 + "0", "expected at most 8 images a request, got 100001"),
        (LINE.replace(".", ";", 1), "expected numbers with commas between, got ';'"),
        (f"{LINE}\n{NAMED}", "got '\"'"),
        (f"{LINE}],[{LINE}", "got ']'"),
        (f"{LINE}\n{LINE.replace('.', '[', 1)}", "got '['"),
        (b"\xff\xfe0\x00", r"got '\xff'"),
        (",".join(["nan"] * 784), "got 'n'"),
        (",".join(["1e999"] * 784), "got others in image 0"),
        (",".join(["01"] * 784), "got others in image 0"),
        (f"{LINE}\n" + ",".join(["+1"] * 784), "got others in image 1"),
        (f"{LINE}\n" + ",".join(["1 1"] * 784), "got others in image 1"),
        ("," * 783, "expected at least one image"),
        (",".join(["9" * 320] * 784), "got others in image 0"),
        (",".join(["2"] * 784), "expected numbers from 0 to 1, got 2 in image 0: divide"),
        (",".join(["-0.5"] * 784), "expected numbers from 0 to 1, got -0.5 in image 0"),
    ],
)
def test_csv_that_is_wrong_is_explained(client: FlaskClient, body: Any, words: str) -> None:
    check_error(invoke(client, body, "text/csv"), 400, words)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-npy"])
def test_another_content_type(client: FlaskClient, content_type: str | None) -> None:
    response = invoke(client, {"instances": FLAT}, content_type)
    check_error(response, 415, f"text/csv, got {content_type or 'no Content-Type'}")


def test_a_body_beyond_the_limit(client: FlaskClient) -> None:
    for content_type in ("text/csv", "application/json"):
        response = invoke(client, b" " * (2**18 + 1), content_type)
        check_error(response, 413, "at most 262144 bytes")


def test_another_method(client: FlaskClient) -> None:
    check_error(client.get("/invocations"), 405, "expected POST, got GET")
    check_error(client.post("/ping"), 405, "expected GET, got POST")


def test_ping_tells_whether_there_is_a_model(client: FlaskClient, tmp_path: Path) -> None:
    assert client.get("/ping").status_code == 200
    without = make_app(Settings(model_dir=str(tmp_path / "none"))).test_client()
    check_error(without.get("/ping"), 503, "make train")
    check_error(invoke(without, {"instances": FLAT}, "application/json"), 503, "make train")


def test_the_version_is_that_of_the_project(client: FlaskClient) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    response = client.get("/version")
    assert response.text == project["version"]
    assert response.mimetype == "text/plain"


def test_the_default_model_answers(tmp_path: Path) -> None:
    publish(tmp_path)
    second = publish(tmp_path, seed=1)
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    response = invoke(client, LINES, "text/csv")
    assert response.headers["X-Model-Version"] == "mnist/2"
    expected = second.model.predict(IMAGES).T
    np.testing.assert_allclose(response.get_json()["predictions"], expected, atol=1e-6, rtol=0)


def test_the_protocol_is_counted_by_its_name(app: Flask) -> None:
    rules = {rule.rule: rule.endpoint for rule in app.url_map.iter_rules()}
    assert rules["/invocations"] == "mlflow.invoke"


READER = ImageReader((3, 4), max_batch=8)


@given(
    numbers=st.integers(1, 8).flatmap(
        lambda n: st.lists(st.floats(0, 1), min_size=12 * n, max_size=12 * n)
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_numbers_keep_their_value(numbers: list[float], end: str) -> None:
    images = np.array(numbers).reshape(-1, 12)
    lines = "".join(",".join(map(str, image)) + end for image in images.tolist())
    frame = {"columns": list("abcdefghijkl"), "data": images.tolist()}
    expected = images.astype(np.float32)
    np.testing.assert_array_equal(decode_csv(READER, lines.encode()), expected, strict=True)
    document = json.dumps({"dataframe_split": frame}).encode()
    np.testing.assert_array_equal(decode_json(READER, document), expected, strict=True)


@given(
    at=st.integers(0, 60),
    piece=st.sampled_from([b"", b"\n", b"\r", b",", b" ", b"-", b"+", b"e", b".", b"]", b'"', b"0"])
    | st.binary(min_size=1, max_size=3),
)
def test_lines_with_one_fault_are_refused_or_numbers(at: int, piece: bytes) -> None:
    body = b"0,0.25,1,0,0,0,0.5,0,0,1,0,0\n" * 2
    body = body[:at] + piece + body[at + 1 :]
    try:
        images = decode_csv(READER, body)
    except RequestError:
        return
    lines = [line for line in body.decode().split("\n") if line.strip()]
    expected = np.array([[float(field) for field in line.split(",")] for line in lines])
    np.testing.assert_array_equal(images, expected.astype(np.float32))

"""MLflow's scoring protocol, which is also SageMaker's container contract."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from nncore.repository import PublishedModel
from service.inputs.pixels import PixelReader
from service.protocols.mlflow import decode_csv, decode_json
from service.settings import Settings
from tests.service.conftest import make_app

JSON, CSV = "application/json", "text/csv"
IMAGES = np.random.default_rng(0).random((2, 784), np.float32)
FLAT: list[Any] = IMAGES.tolist()
LINE, SECOND = (",".join(map(str, image)) for image in FLAT)
LINES = f"{LINE}\n{SECOND}"
NUMBERED = ",".join(map(str, range(784)))
NAMED = ",".join(f'"pixel {number}"' for number in range(784))
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def invoke(client: FlaskClient, body: Any, content_type: str | None) -> TestResponse:
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    return client.post("/invocations", data=body, content_type=content_type)


def check_error(response: TestResponse, status: int, words: str = "") -> None:
    assert response.status_code == status
    assert response.content_type == JSON
    document = response.get_json()
    assert set(document) == {"error", "request_id"}
    assert len(document["error"]) < 400
    assert words in document["error"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"instances": IMAGES.reshape(2, 28, 28).tolist()}, JSON),
        ({"instances": [{"images": image} for image in FLAT]}, JSON),
        ({"inputs": {"images": FLAT}}, f"{JSON}; charset=utf-8"),
        ({"params": {"a": [[1]], "b": "["}, "inputs": FLAT}, JSON),
        ({"dataframe_split": {"columns": [*range(784)], "index": [0, 1], "data": FLAT}}, JSON),
        ({"dataframe_split": {"data": FLAT, "columns": [f"p[{i}]" for i in range(784)]}}, JSON),
        (LINES, CSV),
        (LINES.replace("\n", "\r\n").replace(",", ", ") + "\r\n", CSV),
        (f"{NUMBERED}\n{LINES}\n", CSV),
        (f"{NAMED}\r\n{LINES}", CSV),
        ("\n".join(",".join(f"{number:.18e}" for number in image) for image in FLAT), CSV),
    ],
)
def test_every_form(
    client: FlaskClient, published: PublishedModel, body: Any, content_type: str
) -> None:
    response = invoke(client, body, content_type)
    assert response.status_code == 200, response.text
    assert response.content_type == JSON
    assert response.headers["X-Model-Version"] == "mnist/1"
    expected = published.model.predict(IMAGES).T
    np.testing.assert_allclose(response.get_json()["predictions"], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "exactly one of instances, inputs, dataframe_split, got none of them"),
        ({"instances": FLAT, "dataframe_split": {}}, "got instances and dataframe_split"),
        ({"dataframe_split": FLAT}, "expected dataframe_split to be an object, got an array of 2"),
        ({"dataframe_split": {}}, "expected data to be an array of images"),
        ({"dataframe_split": {"data": FLAT[0]}}, "got one image: put it into an array"),
        ({"dataframe_split": {"data": [FLAT[0]] * 9}}, "at most 8 images per request, got 9"),
        ({"dataframe_split": {"data": [[0, [0], *[0] * 782]]}}, "got an array of 1 at 1"),
        ({"inputs": FLAT[0]}, "expected inputs to be an array of images"),
        (b"", "malformed JSON"),
        ("", "expected at least one image, got none"),
        (NUMBERED, "expected at least one image, got none"),
        (f"{LINE}\n\n{LINE}", "expected 784 numbers in lines[1], got 0"),
        (f"{LINE},", "a malformed line"),
        (f"{LINE}\n{LINE},0", "expected 784 numbers in lines[1], got 785"),
        ("0\n" * 9, "expected at most 8 images per request, got 9"),
        ("\n" * 100_000 + "0", "expected at most 8 images per request"),
        (LINE.replace(".", ";", 1), "expected numbers separated by commas, got ';'"),
        (f"{LINE}\n{NAMED}", "got '\"'"),
        (f"{LINE}\n" + ",".join(["nan"] * 784), "got 'n'"),
        (",".join(["1e999"] * 784), "expected finite numbers"),
        (",".join(["01"] * 784), "a malformed line"),
        (",".join(["2"] * 784), "expected numbers from 0 to 1, got 2 in image 0: divide"),
    ],
)
def test_an_invalid_body_is_explained(client: FlaskClient, body: Any, words: str) -> None:
    content_type = CSV if isinstance(body, str) else JSON
    check_error(invoke(client, body, content_type), 400, words)


@pytest.mark.parametrize("content_type", [None, "application/x-npy"])
def test_another_content_type(client: FlaskClient, content_type: str | None) -> None:
    response = invoke(client, {"instances": FLAT}, content_type)
    check_error(response, 415, f"text/csv, got {content_type or 'no Content-Type'}")


def test_ping_and_version(client: FlaskClient, tmp_path: Path) -> None:
    assert client.get("/ping").status_code == 200
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert client.get("/version").text == project["version"]
    empty = make_app(Settings(model_dir=str(tmp_path / "none"))).test_client()
    check_error(empty.get("/ping"), 503)
    check_error(invoke(empty, {"instances": FLAT}, JSON), 503)


READER = PixelReader((3, 4), max_batch=8)


@given(
    numbers=st.integers(1, 8).flatmap(
        lambda n: st.lists(st.floats(0, 1), min_size=12 * n, max_size=12 * n)
    )
)
def test_numbers_keep_their_value(numbers: list[float]) -> None:
    images = np.array(numbers).reshape(-1, 12)
    lines = "".join(",".join(map(str, image)) + "\n" for image in images.tolist())
    frame = {"columns": list("abcdefghijkl"), "data": images.tolist()}
    expected = images.astype(np.float32)
    np.testing.assert_array_equal(decode_csv(READER, lines.encode()), expected, strict=True)
    document = json.dumps({"dataframe_split": frame}).encode()
    np.testing.assert_array_equal(decode_json(READER, document), expected, strict=True)

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore.repository import PublishedModel
from tests.service.conftest import MakeClient, check_error, check_probabilities

JSON, CSV = "application/json", "text/csv"
IMAGES = np.random.default_rng(0).random((2, 784), np.float32)
FLAT: list[Any] = IMAGES.tolist()
LINE, SECOND = (",".join(map(str, image)) for image in FLAT)
LINES = f"{LINE}\n{SECOND}"
NUMBERED = ",".join(map(str, range(784)))
NAMED = ",".join(f'"pixel {number}"' for number in range(784))
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def invoke(client: FlaskClient, body: Any, content_type: str | None = None) -> TestResponse:
    content_type = content_type or (CSV if isinstance(body, str) else JSON)
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    return client.post("/invocations", data=body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"instances": IMAGES.reshape(2, 28, 28).tolist()}, JSON),
        ({"inputs": {"images": FLAT}}, f"{JSON}; charset=utf-8"),
        ({"params": {"a": [[1]], "b": "["}, "inputs": FLAT}, JSON),
        ({"dataframe_split": {"columns": [*range(784)], "index": [0, 1], "data": FLAT}}, JSON),
        ({"dataframe_split": {"data": FLAT, "columns": [f"p[{i}]" for i in range(784)]}}, JSON),
        (LINES.replace("\n", "\r\n").replace(",", ", ") + "\r\n", CSV),
        (f"{NAMED}\r\n{LINES}", CSV),
        ("\n".join(",".join(f"{number:.18e}" for number in image) for image in FLAT), CSV),
    ],
)
def test_every_form_is_read(
    client: FlaskClient, published: PublishedModel, body: Any, content_type: str
) -> None:
    response = invoke(client, body, content_type)
    assert response.status_code == 200, response.text
    assert response.headers["X-Model-Version"] == "mnist/1"
    check_probabilities(response.get_json()["predictions"], published.model.predict(IMAGES).T)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "instances, inputs, dataframe_split"),
        ({"dataframe_split": {"data": FLAT[0]}}, "got one image"),
        (NUMBERED, "at least one image"),
        (f"{LINE}\n\n{LINE}", "784 numbers in lines[1], got 0"),
        ("\n" * 100_000 + "0", "at most 8 images"),
        (LINE.replace(".", ";", 1), "';'"),
        (f"{LINE}\n" + ",".join(["nan"] * 784), "'n'"),
        (",".join(["2"] * 784), "got 2 in image 0"),
    ],
)
def test_an_invalid_body_is_explained(client: FlaskClient, body: Any, words: str) -> None:
    check_error(invoke(client, body), 400, words)


def test_other_content_types_ping_and_version(client: FlaskClient, make_client: MakeClient) -> None:
    check_error(invoke(client, {"instances": FLAT}, "application/x-npy"), 415, "text/csv")
    assert client.get("/ping").status_code == 200
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert client.get("/version").text == project["version"]
    empty = make_client(model_name="letters")
    check_error(empty.get("/ping"), 503)
    check_error(invoke(empty, {"instances": FLAT}), 503)

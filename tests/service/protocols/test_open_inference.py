import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore import scale_pixels
from nncore.repository import PublishedModel
from nncore.types import Array
from service.settings import Settings
from tests.service.conftest import MakeClient, check_error, check_probabilities, make_app
from tests.support.models import publish

LEVELS = np.random.default_rng(0).integers(0, 256, (2, 28, 28)).astype(np.uint8)
INPUTS = scale_pixels(LEVELS)
FLAT = INPUTS.ravel().tolist()
INFER = "/v2/models/mnist/infer"
JSON_SIZE = "Inference-Header-Content-Length"
DTYPES = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "UINT8": "u1"}


def tensor(**changes: Any) -> dict[str, Any]:
    """The input of two images, with other members or, where None, without."""
    members = {"name": "images", "shape": [2, 784], "datatype": "FP32", "data": FLAT} | changes
    return {name: value for name, value in members.items() if value is not None}


def binary_tensor(size: Any, **changes: Any) -> dict[str, Any]:
    return tensor(data=None, parameters={"binary_data_size": size}, **changes)


def infer(
    client: FlaskClient,
    document: Any,
    binary: bytes | None = None,
    path: str = INFER,
    headers: Mapping[str, str] | None = None,
) -> TestResponse:
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    if binary is not None:
        headers = {JSON_SIZE: str(len(head)), **(headers or {})}
    return client.post(path, data=head + (binary or b""), headers=headers)


def read_tensors(response: TestResponse) -> dict[str, Array]:
    """The outputs, in JSON or in binary; every byte of the response belongs to one."""
    assert response.status_code == 200, response.text
    size = response.headers.get(JSON_SIZE, type=int)
    head, rest = json.loads(response.data[:size]), response.data[size:] if size else b""
    assert (head["model_name"], head["model_version"]) == ("mnist", "1")
    tensors = {}
    for output in head["outputs"]:
        if "data" in output:
            values = np.array(output["data"])
        else:
            length = output["parameters"]["binary_data_size"]
            piece, rest = rest[:length], rest[length:]
            values = np.frombuffer(piece, {"FP32": "<f4", "INT64": "<i8"}[output["datatype"]])
        tensors[output["name"]] = values.reshape(output["shape"])
    assert rest == b""
    return tensors


@pytest.fixture
def expected(published: PublishedModel) -> Array:
    return published.model.predict(INPUTS).T


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("form", ["flat", "nested", "binary"])
def test_every_form_of_a_tensor_is_read(
    client: FlaskClient, expected: Array, datatype: str, form: str
) -> None:
    for shape in ([2, 784], [2, 28, 28]):
        values = (LEVELS if datatype == "UINT8" else INPUTS).reshape(shape).astype(DTYPES[datatype])
        binary = values.tobytes() if form == "binary" else None
        if binary:
            one = binary_tensor(len(binary), shape=shape, datatype=datatype)
        else:
            data = (values if form == "nested" else values.ravel()).tolist()
            one = tensor(shape=shape, datatype=datatype, data=data)
        tensors = read_tensors(infer(client, {"inputs": [one]}, binary))
        assert list(tensors) == ["probabilities", "label"]
        tolerance = 1e-3 if datatype == "FP16" else 1e-6
        check_probabilities(tensors["probabilities"], expected, tolerance)
        np.testing.assert_array_equal(tensors["label"], expected.argmax(axis=1))


def test_unknown_and_null_members_are_ignored_and_the_id_is_repeated(
    client: FlaskClient, expected: Array
) -> None:
    odd = {"tags": [["[", {}], []], "dense": None, "]": "["}
    document = {
        **odd,
        "id": "a [b] \N{SNOWMAN} \0",
        "parameters": {"priority": 7, "binary_data_output": None, **odd},
        "inputs": [tensor(**odd, parameters={"content_type": "np", **odd})],
        "outputs": [{"name": "probabilities", "parameters": odd, **odd}],
    }
    response = infer(client, document)
    assert response.get_json()["id"] == document["id"]
    check_probabilities(read_tensors(response)["probabilities"], expected)
    document = {"id": None, "parameters": None, "outputs": None, "inputs": [tensor()]}
    response = infer(client, document)
    assert list(read_tensors(response)) == ["probabilities", "label"]
    assert "id" not in response.get_json()


def test_outputs_are_the_requested_ones_in_the_requested_form(client: FlaskClient) -> None:
    document: dict[str, Any] = {"inputs": [tensor()], "outputs": [{"name": "label"}]}
    assert list(read_tensors(infer(client, document))) == ["label"]
    for whole, own in ((True, False), (False, True)):
        outputs = [{"name": "probabilities", "parameters": {"binary_data": own}}, {"name": "label"}]
        document |= {"outputs": outputs, "parameters": {"binary_data_output": whole}}
        response = infer(client, document)
        head = json.loads(response.data[: int(response.headers[JSON_SIZE])])
        assert ["data" in output for output in head["outputs"]] == [not own, not whole]
        assert read_tensors(response)["label"].shape == (2,)


def test_the_index_lists_the_state_of_every_version(tmp_path: Path) -> None:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    (tmp_path / "mnist" / "3" / "model.safetensors").write_bytes(b"damaged")
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    response = infer(client, {"inputs": [tensor()]}, path="/v2/models/mnist/versions/1/infer")
    assert response.get_json()["model_version"] == "1"
    for body, states in (
        ("", {"1": "READY", "2": "READY", "3": "UNAVAILABLE"}),
        ('{"ready": true}', {"1": "READY", "2": "READY"}),
    ):
        entries = client.post("/v2/repository/index", data=body).get_json()
        assert {entry["version"]: entry["state"] for entry in entries} == states
    check_error(client.get("/v2/models/mnist/versions/3/ready"), 503, "model.safetensors")
    for body in ("[]", "{", '{"ready": 2}'):
        check_error(client.post("/v2/repository/index", data=body), 400)


@pytest.mark.parametrize("model", ["other", "m" * 5000, "mnist/versions/2", "mnist/versions/01"])
def test_an_unknown_model_is_not_found(client: FlaskClient, model: str) -> None:
    path = f"/v2/models/{model}"
    check_error(client.get(path), 404)
    check_error(client.get(f"{path}/ready"), 404)
    check_error(infer(client, {"inputs": [tensor()]}, path=f"{path}/infer"), 404)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "pixels"}, '"pixels"'),
        ({"datatype": None}, "FP32, FP64, FP16, UINT8"),
        ({"shape": [0, 784], "data": []}, "at least one image"),
        ({"shape": [2**64 - 1, 784]}, "at most 8 images"),
        ({"shape": [1, 784]}, "784 numbers in data, got 1568"),
        ({"data": None}, "got neither"),
        ({"data": [*FLAT[:-1], True]}, "got true at 1567"),
        ({"parameters": {"binary_data_size": 6272}}, "data or binary_data_size"),
        ({"parameters": {"shared_memory_region": "x"}}, "shared memory"),
    ],
)
def test_an_invalid_input_is_explained(
    client: FlaskClient, changes: dict[str, Any], words: str
) -> None:
    check_error(infer(client, {"inputs": [tensor(**changes)]}), 400, words)


def with_output(name: Any, **parameters: Any) -> dict[str, Any]:
    return {"outputs": [{"name": name, "parameters": parameters}]}


@pytest.mark.parametrize(
    ("document", "binary", "size", "words"),
    [
        (b"", None, None, "malformed JSON"),
        ({}, None, None, "inputs"),
        ({"id": 7, "inputs": [tensor()]}, None, None, "id to be a string"),
        (b'{"id": "a", "id": "b"}', None, None, "id once"),
        (with_output({}), None, None, "probabilities or label"),
        (with_output("label", binary_data="true"), None, None, '"true"'),
        (with_output("probabilities", classification=0), None, None, "classification"),
        ({"inputs": [binary_tensor("6272")]}, INPUTS.tobytes(), None, '"6272"'),
        ({"inputs": [binary_tensor(6272)]}, INPUTS.tobytes()[:-1], None, "6271 bytes"),
        ({"inputs": [tensor()]}, b"x", None, "got 1 bytes"),
        ({"inputs": [tensor()]}, b"", str(10**19 - 1), "at most the body's"),
        ({"inputs": [tensor()]}, b"", "9" * 5000, JSON_SIZE),
    ],
)
def test_an_invalid_request_is_explained(
    client: FlaskClient, document: Any, binary: bytes | None, size: str | None, words: str
) -> None:
    headers = {JSON_SIZE: size} if size else {}
    check_error(infer(client, document, binary, headers=headers), 400, words)


def test_metadata(client: FlaskClient, make_client: MakeClient) -> None:
    assert client.get("/v2/models").get_json() == {"models": ["mnist"]}
    for path in ("/v2/models/mnist", "/v2/models/mnist/versions/1"):
        assert client.get(path).get_json()["versions"] == ["1"]
        assert client.get(f"{path}/ready").get_json() == {"name": "mnist", "ready": True}
        assert client.get(f"{path}/config").get_json()["max_batch_size"] == 8
    empty = make_client(model_name="letters")
    assert empty.get("/v2/health/live").get_json() == {"live": True, "ready": False}
    check_error(empty.get("/v2/health/ready"), 503)
    check_error(infer(empty, {"inputs": [tensor()]}, path="/v2/models/letters/infer"), 503)

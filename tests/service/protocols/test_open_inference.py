"""The Open Inference Protocol without a socket: what it answers, and what it rejects."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor
from werkzeug.test import TestResponse

from nncore import scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array
from service.errors import RequestError
from service.models.loaded_model import LoadedModel, load_model
from service.protocols.open_inference_codec import read_request
from service.settings import Settings
from tests.service.conftest import make_app
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
    body, size = response.data, response.headers.get(JSON_SIZE)
    assert response.content_type == ("application/octet-stream" if size else "application/json")
    head = json.loads(body[: int(size)] if size else body)
    assert (head["model_name"], head["model_version"]) == ("mnist", "1")
    rest = body[int(size) :] if size else b""
    tensors = {}
    for output in head["outputs"]:
        assert ("data" in output) != ("parameters" in output)
        if "data" in output:
            values = np.array(output["data"])
        else:
            length = output["parameters"]["binary_data_size"]
            piece, rest = rest[:length], rest[length:]
            if output["datatype"] == "BYTES":
                values = np.array([text.decode() for text in deserialize_bytes_tensor(piece)])
            else:
                values = np.frombuffer(piece, {"FP32": "<f4", "INT64": "<i8"}[output["datatype"]])
        assert values.size == math.prod(output["shape"])
        tensors[output["name"]] = values.reshape(output["shape"])
    assert rest == b""
    return tensors


def check_error(response: TestResponse, status: int, words: str = "") -> None:
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    assert words in response.get_json()["error"]
    assert len(response.data) < 1000


def check_probabilities(response: TestResponse, expected: Array, tolerance: float = 1e-6) -> None:
    probabilities = read_tensors(response)["probabilities"]
    np.testing.assert_allclose(probabilities, expected, atol=tolerance, rtol=0)


@pytest.fixture
def expected(published: PublishedModel) -> Array:
    return published.model.predict(INPUTS).T


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    root = tmp_path_factory.mktemp("models")
    publish(root)
    return load_model(ModelRepository(root), "mnist", 1, max_batch=8)


@pytest.mark.parametrize("shape", [[2, 784], [2, 28, 28]], ids=str)
@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("form", ["flat", "nested", "binary"])
def test_every_form_of_a_tensor(
    client: FlaskClient, expected: Array, shape: list[int], datatype: str, form: str
) -> None:
    values = (LEVELS if datatype == "UINT8" else INPUTS).reshape(shape).astype(DTYPES[datatype])
    if form == "binary":
        binary = values.tobytes()
        document = {"inputs": [binary_tensor(len(binary), shape=shape, datatype=datatype)]}
    else:
        binary = None
        data = (values if form == "nested" else values.ravel()).tolist()
        document = {"inputs": [tensor(shape=shape, datatype=datatype, data=data)]}
    response = infer(client, document, binary)
    check_probabilities(response, expected, 1e-3 if datatype == "FP16" else 1e-6)
    tensors = read_tensors(response)
    assert list(tensors) == ["probabilities", "label"]
    np.testing.assert_array_equal(tensors["label"], expected.argmax(axis=1))


def test_the_id_is_repeated(client: FlaskClient) -> None:
    for request_id in ("", "a [b] \N{SNOWMAN} \0", "7"):
        answer = infer(client, {"id": request_id, "inputs": [tensor()]}).get_json()
        assert answer["id"] == request_id
    assert "id" not in infer(client, {"inputs": [tensor()]}).get_json()


def test_unknown_and_null_members_are_ignored(client: FlaskClient, expected: Array) -> None:
    odd = {"tags": [["[", {}], []], "dense": None, "]": "["}
    nested = INPUTS.reshape(2, 784).tolist()
    for data in (FLAT, nested):
        document = {
            **odd,
            "id": None,
            "parameters": {"priority": 7, "binary_data_output": None, **odd},
            "inputs": [tensor(**odd, data=data, parameters={"content_type": "np", **odd})],
            "outputs": [{"name": "probabilities", "parameters": odd, **odd}],
        }
        check_probabilities(infer(client, document), expected)
    document = {"parameters": None, "outputs": None, "inputs": [tensor()]}
    assert list(read_tensors(infer(client, document))) == ["probabilities", "label"]


def test_outputs_are_the_requested_ones_in_the_requested_form(client: FlaskClient) -> None:
    for names in (["label"], ["label", "probabilities"]):
        document: dict[str, Any] = {"inputs": [tensor()], "outputs": [{"name": n} for n in names]}
        assert list(read_tensors(infer(client, document))) == names
    for whole, own in ((True, False), (False, True)):
        outputs = [{"name": "probabilities", "parameters": {"binary_data": own}}, {"name": "label"}]
        document |= {"outputs": outputs, "parameters": {"binary_data_output": whole}}
        response = infer(client, document)
        head = json.loads(response.data[: int(response.headers[JSON_SIZE])])
        assert ["data" in output for output in head["outputs"]] == [not own, not whole]
        assert read_tensors(response)["label"].shape == (2,)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("requested", "listed"), [(1, 1), (2**62, 3)])
def test_classification_lists_the_likeliest(
    tmp_path: Path, binary: bool, requested: int, listed: int
) -> None:
    labels = ["shirt", "chaussure d'été", "bag"]
    published = publish(tmp_path, (3, 4), labels)
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    one = tensor(shape=[1, 3, 4], datatype="UINT8", data=[9] * 12)
    parameters = {"classification": requested, "binary_data": binary}
    outputs = [{"name": "probabilities", "parameters": parameters}]
    texts = read_tensors(infer(client, {"inputs": [one], "outputs": outputs}))["probabilities"]
    expected = published.model.predict(scale_pixels(np.full((1, 12), 9)))[:, 0]
    order = np.argsort(-expected)[:listed]
    for text, index in zip(texts[0].tolist(), order, strict=True):
        number, place, label = text.split(":")
        assert float(number) == pytest.approx(expected[index], abs=1e-6)
        assert (place, label) == (str(index), labels[index])
    check_error(infer(client, {"inputs": [tensor()]}), 400, "[N, 3, 4] or [N, 12]")


def test_metadata(client: FlaskClient) -> None:
    for path in ("/v2", "/v2/"):
        server = client.get(path).get_json()
        assert {"binary_tensor_data", "classification"} < set(server["extensions"])
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert client.get(path).get_json() == {"live": True, "ready": True}
    assert client.get("/v2/models").get_json() == {"models": ["mnist"]}
    for path in ("/v2/models/mnist", "/v2/models/mnist/versions/1"):
        metadata = client.get(path).get_json()
        assert set(metadata) == {"name", "versions", "platform", "inputs", "outputs"}
        assert (metadata["name"], metadata["versions"]) == ("mnist", ["1"])
        assert client.get(f"{path}/ready").get_json() == {"name": "mnist", "ready": True}
        assert client.get(f"{path}/config").get_json()["max_batch_size"] == 8


def test_the_index_lists_the_state_of_every_version(tmp_path: Path) -> None:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    (tmp_path / "mnist" / "3" / "model.safetensors").write_bytes(b"damaged")
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()

    def index(body: str = "") -> dict[str, str]:
        entries = client.post("/v2/repository/index", data=body).get_json()
        assert all(entry["reason"] for entry in entries if entry["state"] != "READY")
        return {entry["version"]: entry["state"] for entry in entries}

    assert index() == {"1": "UNAVAILABLE", "2": "READY", "3": "UNAVAILABLE"}
    assert index('{"ready": true}') == {"2": "READY"}
    response = infer(client, {"inputs": [tensor()]}, path="/v2/models/mnist/versions/1/infer")
    assert response.get_json()["model_version"] == "1"
    assert index('{"ready": false}') == {"1": "READY", "2": "READY", "3": "UNAVAILABLE"}
    check_error(client.get("/v2/models/mnist/versions/3/ready"), 503, "model.safetensors")
    for body in ("[]", "{", '{"ready": 2}', "[" * 10_000):
        check_error(client.post("/v2/repository/index", data=body), 400)


def test_without_a_model_the_server_is_live_and_not_ready(tmp_path: Path) -> None:
    client = make_app(Settings(model_dir=str(tmp_path / "none"))).test_client()
    assert client.get("/v2/health/live").get_json() == {"live": True, "ready": False}
    for path in ("/v2/health/ready", "/v2/models/mnist", "/v2/models/mnist/ready"):
        check_error(client.get(path), 503)
    check_error(infer(client, {"inputs": [tensor()]}), 503)
    assert client.post("/v2/repository/index").get_json() == []


@pytest.mark.parametrize(
    "model",
    [
        "other",
        "m" * 5000,
        "..",
        *(f"mnist/versions/{v}" for v in ("2", "01", "0", "x", "9" * 5000)),
    ],
)
def test_an_unknown_model_is_not_found(client: FlaskClient, model: str) -> None:
    path = f"/v2/models/{model}"
    check_error(client.get(path), 404)
    check_error(client.get(f"{path}/ready"), 404)
    check_error(infer(client, {"inputs": [tensor()]}, path=f"{path}/infer"), 404)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "pixels"}, 'an input of name images, got "pixels"'),
        ({"datatype": None}, "expected datatype FP32, FP64, FP16, UINT8 of input images, got null"),
        ({"datatype": "INT64"}, 'got "INT64": send pixels / 255 as FP32'),
        ({"shape": None}, "expected shape [N, 28, 28] or [N, 784] of input images, got null"),
        ({"shape": [28, 28]}, "got [28, 28]"),
        ({"shape": [2.0, 784]}, "got [2.0, 784]"),
        ({"shape": [0, 784], "data": []}, "expected at least one image, got none"),
        ({"shape": [2**64 - 1, 784]}, "expected at most 8 images"),
        ({"shape": [1, 784]}, "expected 784 numbers in data, got 1568"),
        ({"data": None}, "expected data or binary_data_size in input images, got neither"),
        ({"data": [FLAT[:784], FLAT[784:-1]]}, "expected 784 numbers in data[1], got 783"),
        ({"data": [*FLAT[:-1], True]}, "expected numbers in data, got true at 1567"),
        ({"data": [*FLAT[:-1], math.nan]}, "expected finite numbers"),
        ({"data": [*FLAT[:-1], 255]}, "from 0 to 1, got 255 in image 1: divide grey levels by 255"),
        ({"datatype": "UINT8"}, "got only numbers from 0 to 1"),
        ({"parameters": []}, "the parameters of input images to be an object, got an array of 0"),
        ({"parameters": {"binary_data_size": 6272}}, "data or binary_data_size in input images"),
        ({"parameters": {"shared_memory_region": "x"}}, "got a shared memory region"),
    ],
)
def test_invalid_inputs(client: FlaskClient, changes: dict[str, Any], words: str) -> None:
    check_error(infer(client, {"inputs": [tensor(**changes)]}), 400, words)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "malformed JSON"),
        ([], "expected a JSON object, got an array of 0"),
        (b'{"inputs": ' + b"[" * 100_000, "expected at most 8 images per request"),
        ({}, "expected inputs to be an array of 1, got null"),
        ({"inputs": [tensor()] * 2}, "got an array of 2"),
        ({"inputs": [None]}, "expected input images to be an object, got null"),
        ({"id": 7, "inputs": [tensor()]}, "expected id to be a string, got 7"),
        ({"parameters": 7, "inputs": [tensor()]}, "the parameters of the request to be an object"),
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output to be true or false"),
        (b'{"id": "a", "id": "b"}', "expected id once in the request, got it twice"),
        ({"outputs": "label"}, 'expected outputs to be an array of 1 or 2, got "label"'),
        ({"outputs": ["label"]}, 'expected an output to be an object, got "label"'),
        ({"outputs": [{"name": {}}]}, "expected output probabilities or label, got an object"),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": "true"}}]},
            'expected binary_data to be true or false, got "true"',
        ),
        *(
            (
                {"outputs": [{"name": name, "parameters": {"classification": classes}}]},
                "expected classification of probabilities, a number of classes",
            )
            for name, classes in (("label", 1), ("probabilities", 0), ("probabilities", 1.0))
        ),
    ],
)
def test_invalid_requests(client: FlaskClient, document: Any, words: str) -> None:
    check_error(infer(client, document), 400, words)


@pytest.mark.parametrize(
    ("size", "binary", "words"),
    [
        ("6272", INPUTS.tobytes(), 'got a binary_data_size of "6272" and 6272 bytes'),
        (1568, INPUTS.tobytes(), "expected 6272 bytes of binary data for the shape [2, 784]"),
        (6272, INPUTS.tobytes()[:-1], "and 6271 bytes after the JSON"),
        (6272, INPUTS.tobytes() + b"\0", "and 6273 bytes"),
        (6272, np.full(1568, np.nan, "<f4").tobytes(), "from 0 to 1, got nan in image 0"),
        (6272, np.full(1568, 1.0001, "<f4").tobytes(), "divide grey levels by 255"),
    ],
)
def test_invalid_binary_data(client: FlaskClient, size: Any, binary: bytes, words: str) -> None:
    check_error(infer(client, {"inputs": [binary_tensor(size)]}, binary), 400, words)


def test_binary_data_needs_the_size_of_the_json(client: FlaskClient, model: LoadedModel) -> None:
    head = json.dumps({"inputs": [binary_tensor(6272)]}).encode()
    check_error(infer(client, head + INPUTS.tobytes()), 400, "malformed JSON")
    check_error(infer(client, head), 400, "0 bytes after the JSON")
    document = {"inputs": [tensor()]}
    length = len(json.dumps(document))
    for size, words in (
        (length + 1, f"expected at most the body's {length} bytes in {JSON_SIZE}, got"),
        (10**19 - 1, "at most the body's"),
        (length - 1, "malformed JSON"),
        (0, "malformed JSON"),
    ):
        check_error(infer(client, document, headers={JSON_SIZE: str(size)}), 400, words)
    assert infer(client, document, b"").status_code == 200
    check_error(infer(client, document, b"x"), 400, "expected nothing after the JSON, got 1 bytes")
    for header in ("x", "-1", "1e3", "", "\N{SUPERSCRIPT TWO}", "9" * 5000, "1_0"):
        with pytest.raises(RequestError, match=JSON_SIZE):
            read_request(model, header, b"")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
MEMBERS = [
    *("id", "inputs", "outputs", "parameters", "name", "shape", "datatype", "data"),
    *("binary_data", "binary_data_size", "binary_data_output", "classification"),
]


@given(
    where=st.sampled_from(["request", "input", "parameters", "output", "output parameters"]),
    name=st.sampled_from(MEMBERS),
    value=JSON_VALUES,
    binary=st.binary(max_size=3),
    cut=st.integers(0, 400),
)
def test_no_request_raises_another_exception(
    model: LoadedModel, where: str, name: str, value: Any, binary: bytes, cut: int
) -> None:
    places: dict[str, dict[str, Any]] = {
        "parameters": {},
        "output parameters": {"binary_data": True},
        "input": tensor(shape=[1, 784], data=[0] * 784),
    }
    places["output"] = {"name": "probabilities", "parameters": places["output parameters"]}
    places["request"] = {
        "inputs": [places["input"]],
        "outputs": [places["output"]],
        "parameters": places["parameters"],
    }
    places[where][name] = value
    head = json.dumps(places["request"]).encode()
    for size, body in ((None, head), (str(len(head)), head + binary), (None, head[:-cut])):
        try:
            images = read_request(model, size, body).images
        except RequestError as error:
            rejection = error
        else:
            assert images.shape == (1, 784)
            continue
        assert rejection.status in (400, 422)  # answered with 400
        assert len(rejection.detail) < 400


@pytest.mark.parametrize("offset", range(8))
def test_binary_data_begins_at_any_byte(model: LoadedModel, offset: int) -> None:
    head = json.dumps({"inputs": [binary_tensor(INPUTS.nbytes)]}).encode()
    head += b" " * (offset - len(head) % 8 + 8)
    body = head + INPUTS.tobytes()
    images = read_request(model, str(len(head)), body).images
    np.testing.assert_array_equal(images, INPUTS.reshape(2, 784), strict=True)
    # Aligned data is not copied.
    assert offset or np.shares_memory(images, np.frombuffer(body, "u1"))

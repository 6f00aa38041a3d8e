"""The Open Inference Protocol without a socket: what it answers, and what it refuses."""

import gzip
import json
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from nncore import ModelRepository, PublishedModel, scale_pixels
from nncore.types import Array
from service.errors import RequestError
from service.protocols.open_inference_requests import read_json_size, read_request
from service.serving import ServedModel, load_model
from service.settings import Settings
from tests.service.conftest import make_app, publish

LEVELS = np.random.default_rng(0).integers(0, 256, (2, 28, 28)).astype(np.uint8)
INPUTS = scale_pixels(LEVELS)
FLAT = INPUTS.ravel().tolist()
INFER = "/v2/models/mnist/infer"
DTYPES = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "UINT8": "u1"}
TOLERANCE = {"FP32": 1e-6, "FP64": 1e-6, "FP16": 1e-3, "UINT8": 1e-6}


def tensor(**changes: Any) -> dict[str, Any]:
    """The input of two images, with other members or, where None, without."""
    members = {"name": "images", "shape": [2, 784], "datatype": "FP32", "data": FLAT} | changes
    return {name: value for name, value in members.items() if value is not None}


def infer(
    client: FlaskClient,
    document: Any,
    binary: bytes | None = None,
    path: str = INFER,
    headers: Mapping[str, str] | None = None,
) -> TestResponse:
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    if binary is not None:
        headers = {"Inference-Header-Content-Length": str(len(head)), **(headers or {})}
    return client.post(path, data=head + (binary or b""), headers=headers)


def read_tensors(response: TestResponse) -> dict[str, Array]:
    """The outputs, whether in JSON or in binary; every byte of the answer belongs to one."""
    assert response.status_code == 200, response.text
    body, size = response.data, response.headers.get("Inference-Header-Content-Length")
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
            dtype = {"FP32": "<f4", "INT64": "<i8"}.get(output["datatype"])
            values = np.frombuffer(piece, dtype) if dtype else np.array(read_texts(piece))
        assert values.size == math.prod(output["shape"])
        tensors[output["name"]] = values.reshape(output["shape"])
    assert rest == b""
    return tensors


def read_texts(piece: bytes) -> list[str]:
    texts = []
    while piece:
        (length,) = struct.unpack_from("<I", piece)
        texts.append(piece[4 : 4 + length].decode())
        piece = piece[4 + length :]
    return texts


def check_error(response: TestResponse, status: int, words: str = "") -> None:
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    assert words in response.get_json()["error"]
    assert len(response.data) < 1000


@pytest.fixture
def expected(published: PublishedModel) -> Array:
    return published.model.predict(INPUTS).T


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    root = tmp_path_factory.mktemp("models")
    publish(root)
    return load_model(ModelRepository(root), "mnist", 1, max_batch=8)


@pytest.mark.parametrize("shape", [[2, 784], [2, 28, 28]], ids=str)
@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("form", ["flat", "nested", "binary"])
@pytest.mark.parametrize("binary_output", [False, True])
def test_every_form_of_a_tensor_gives_the_networks_own_answer(
    client: FlaskClient,
    expected: Array,
    shape: list[int],
    datatype: str,
    form: str,
    binary_output: bool,
) -> None:
    values = (LEVELS if datatype == "UINT8" else INPUTS).reshape(shape).astype(DTYPES[datatype])
    members: dict[str, Any] = {"shape": shape, "datatype": datatype}
    binary = values.tobytes() if form == "binary" else None
    if binary is not None:
        members |= {"data": None, "parameters": {"binary_data_size": len(binary)}}
    else:
        members["data"] = (values if form == "nested" else values.ravel()).tolist()
    document = {"inputs": [tensor(**members)], "parameters": {"binary_data_output": binary_output}}
    response = infer(client, document, binary)
    assert ("Inference-Header-Content-Length" in response.headers) == binary_output
    tensors = read_tensors(response)
    assert list(tensors) == ["probabilities", "label"]
    np.testing.assert_allclose(tensors["probabilities"], expected, atol=TOLERANCE[datatype], rtol=0)
    np.testing.assert_array_equal(tensors["label"], expected.argmax(axis=1))


@pytest.mark.parametrize("padding", range(4))
def test_binary_data_may_begin_anywhere(client: FlaskClient, expected: Array, padding: int) -> None:
    binary = INPUTS.tobytes()
    one = tensor(data=None, parameters={"binary_data_size": len(binary)})
    head = json.dumps({"inputs": [one]}).encode() + b" " * padding
    np.testing.assert_allclose(
        read_tensors(infer(client, head, binary))["probabilities"], expected, atol=1e-6, rtol=0
    )


def test_the_id_is_repeated_and_left_out_where_there_is_none(client: FlaskClient) -> None:
    for request_id in ("", "a [b] \N{SNOWMAN} \0", "7"):
        answer = infer(client, {"id": request_id, "inputs": [tensor()]}).get_json()
        assert answer["id"] == request_id
    assert "id" not in infer(client, {"inputs": [tensor()]}).get_json()


def test_what_is_unknown_or_null_is_tolerated(client: FlaskClient, expected: Array) -> None:
    odd = {"tags": [["[", {}], []], "dense": None, "]": "["}
    document: dict[str, Any] = {
        **odd,
        "id": None,
        "parameters": {"priority": 7, **odd},
        "inputs": [tensor(**odd, parameters={"content_type": "np", **odd})],
        "outputs": [{"name": "probabilities", "parameters": odd, **odd}],
    }
    for data in (FLAT, INPUTS.reshape(2, 784).tolist()):
        document["inputs"][0]["data"] = data
        tensors = read_tensors(infer(client, document))
        np.testing.assert_allclose(tensors["probabilities"], expected, atol=1e-6, rtol=0)
    nothing = {"id": None, "parameters": None, "outputs": None}
    tensors = read_tensors(
        infer(
            client,
            {
                **nothing,
                "inputs": [
                    tensor(),
                ],
            },
        )
    )
    assert list(tensors) == ["probabilities", "label"]


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "nonsense"])
def test_no_content_type_is_needed(client: FlaskClient, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert infer(client, {"inputs": [tensor()]}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (["label"], ["label"]),
        (["label", "probabilities"], ["label", "probabilities"]),
        ([], ["probabilities", "label"]),
    ],
)
def test_outputs_are_those_that_are_asked_for(
    client: FlaskClient, outputs: list[str], names: list[str]
) -> None:
    document = {"inputs": [tensor()], "outputs": [{"name": name} for name in outputs]}
    assert list(read_tensors(infer(client, document))) == names


def test_an_output_overrides_what_the_request_says_of_all(client: FlaskClient) -> None:
    for whole, own in ((True, False), (False, True)):
        outputs = [{"name": "probabilities", "parameters": {"binary_data": own}}, {"name": "label"}]
        document = {
            "inputs": [tensor()],
            "outputs": outputs,
            "parameters": {"binary_data_output": whole},
        }
        response = infer(client, document)
        head = json.loads(response.data[: int(response.headers["Inference-Header-Content-Length"])])
        assert ["data" in output for output in head["outputs"]] == [not own, not whole]
        assert read_tensors(response)["label"].shape == (2,)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("asked", "given"), [(1, 1), (3, 3), (99, 10), (2**62, 10)])
def test_classification_names_the_likeliest(
    client: FlaskClient, expected: Array, binary: bool, asked: int, given: int
) -> None:
    parameters = {"classification": asked, "binary_data": binary}
    document = {
        "inputs": [tensor()],
        "outputs": [{"name": "probabilities", "parameters": parameters}],
    }
    texts = read_tensors(infer(client, document))["probabilities"]
    assert texts.shape == (2, given)
    for row, probabilities in zip(texts.tolist(), expected, strict=True):
        order = np.argsort(-probabilities)[:given]
        for text, index in zip(row, order, strict=True):
            number, *names = text.split(":")
            assert float(number) == pytest.approx(probabilities[index], abs=1e-6)
            assert names == [str(index), str(index)]


def test_a_model_of_another_shape_with_names_for_labels(tmp_path: Path) -> None:
    published = publish(tmp_path, (3, 4), ["shirt", "shoe", "bag"])
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    metadata = client.get("/v2/models/mnist").get_json()
    assert metadata["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 3, 4]}]
    assert metadata["outputs"][0]["shape"] == [-1, 3]
    one = tensor(shape=[1, 3, 4], datatype="UINT8", data=[9] * 12)
    outputs = [{"name": "probabilities", "parameters": {"classification": 1}}]
    (text,) = infer(client, {"inputs": [one], "outputs": outputs}).get_json()["outputs"][0]["data"]
    winner = int(published.model.predict(scale_pixels(np.full((1, 12), 9))).argmax())
    assert text.split(":")[1:] == [str(winner), ["shirt", "shoe", "bag"][winner]]
    check_error(infer(client, {"inputs": [tensor()]}), 400, "[N, 3, 4] or [N, 12]")


def test_what_the_server_and_its_models_say_of_themselves(client: FlaskClient) -> None:
    for path in ("/v2", "/v2/"):
        server = client.get(path).get_json()
        assert set(server) == {"name", "version", "extensions"}
        assert {"binary_tensor_data", "classification"} < set(server["extensions"])
    for path in ("/v2/health/live", "/v2/health/ready"):
        response = client.get(path)
        assert response.content_type == "application/json"
        assert response.get_json() == {"live": True, "ready": True}
    assert client.get("/v2/models").get_json() == {"models": ["mnist"]}
    for model in ("/v2/models/mnist", "/v2/models/mnist/versions/1"):
        metadata = client.get(model).get_json()
        assert set(metadata) == {"name", "versions", "platform", "inputs", "outputs"}
        assert (metadata["name"], metadata["versions"]) == ("mnist", ["1"])
        assert client.get(f"{model}/ready").get_json() == {"name": "mnist", "ready": True}
        assert client.get(f"{model}/config").get_json()["max_batch_size"] == 8


def test_the_index_tells_the_state_of_every_version(tmp_path: Path) -> None:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    (tmp_path / "mnist" / "3" / "model.safetensors").write_bytes(b"damaged")
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()

    def index(body: str = "") -> dict[str, str]:
        entries = client.post("/v2/repository/index", data=body).get_json()
        assert all(entry["name"] == "mnist" for entry in entries)
        assert all(entry["reason"] for entry in entries if entry["state"] != "READY")
        return {entry["version"]: entry["state"] for entry in entries}

    assert index() == {"1": "UNAVAILABLE", "2": "READY", "3": "UNAVAILABLE"}
    assert index('{"ready": true}') == {"2": "READY"}
    assert (
        infer(client, {"inputs": [tensor()]}, path="/v2/models/mnist/versions/1/infer").get_json()[
            "model_version"
        ]
        == "1"
    )
    assert index('{"ready": false}') == {"1": "READY", "2": "READY", "3": "UNAVAILABLE"}
    check_error(client.get("/v2/models/mnist/versions/3/ready"), 503, "not sound")
    for body in ("[]", "{", '{"ready": 1}'):
        check_error(client.post("/v2/repository/index", data=body), 400, "")


def test_without_a_model_it_is_live_and_not_ready(tmp_path: Path) -> None:
    client = make_app(Settings(model_dir=str(tmp_path / "none"))).test_client()
    assert client.get("/v2/health/live").get_json() == {"live": True, "ready": False}
    for path in ("/v2/health/ready", "/v2/models/mnist", "/v2/models/mnist/ready"):
        check_error(client.get(path), 503, "make train")
    check_error(infer(client, {"inputs": [tensor()]}), 503, "make train")
    assert client.post("/v2/repository/index").get_json() == []


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models/mnist/versions/2",
        "/v2/models/mnist/versions/01",
        "/v2/models/mnist/versions/0",
        "/v2/models/mnist/versions/-1",
        "/v2/models/mnist/versions/x",
        "/v2/models/mnist/versions/1%0A",
        "/v2/models/mnist/versions/%D9%A1",
        f"/v2/models/mnist/versions/{'9' * 5000}",
        f"/v2/models/{'m' * 5000}",
        "/v2/models/..",
        "/v2/models/mnist/versions/1/other",
    ],
)
def test_a_model_that_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    check_error(client.get(path), 404, "expected")
    check_error(client.get(f"{path}/ready"), 404, "expected")
    check_error(infer(client, {"inputs": [tensor()]}, path=f"{path}/infer"), 404, "expected")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": None}, "an input of name images, got null"),
        ({"name": "pixels"}, 'an input of name images, got "pixels"'),
        ({"name": ["images"]}, "got an array of 1"),
        ({"datatype": None}, "expected datatype FP32, FP64, FP16, UINT8 of input images, got null"),
        ({"datatype": "INT64"}, 'got "INT64": send pixels / 255 as FP32'),
        ({"datatype": "fp32"}, 'got "fp32"'),
        ({"datatype": ["FP32"]}, "got an array of 1"),
        ({"datatype": {}}, "got an object"),
        ({"datatype": "BYTES" * 1000}, "got"),
        ({"shape": None}, "expected shape [N, 28, 28] or [N, 784] of input images, got null"),
        ({"shape": []}, "got []"),
        ({"shape": [784]}, "got [784]"),
        ({"shape": [28, 28]}, "got [28, 28]"),
        ({"shape": [2, 783]}, "got [2, 783]"),
        ({"shape": [2, 28, 28, 1]}, "got an array of 4"),
        ({"shape": [1] * 10000}, "got an array of 10000"),
        ({"shape": [-1, 784]}, "got [-1, 784]"),
        ({"shape": [2.0, 784]}, "got [2.0, 784]"),
        ({"shape": [True, 784]}, "got [true, 784]"),
        ({"shape": ["2", 784]}, 'got ["2", 784]'),
        ({"shape": [[2], 784]}, "got [an array of 1, 784]"),
        ({"shape": "2, 784"}, "got"),
        ({"shape": [0, 784], "data": []}, "expected at least one image, got none"),
        ({"shape": [9, 784]}, "expected at most 8 images a request, got 9"),
        ({"shape": [2**63, 784]}, "expected at most 8 images a request, got 9223372036854775808"),
        ({"shape": [2**64 - 1, 784]}, "expected at most 8 images"),
        ({"shape": [2**64, 784]}, "an integer beyond 64 bits"),
        ({"shape": [1, 784]}, "expected 784 numbers in data, got 1568"),
        ({"shape": [3, 784]}, "expected 2352 numbers in data, got 1568"),
        ({"data": None}, "expected data or binary_data_size in input images, got neither"),
        ({"data": "x"}, 'expected data to be an array, got "x"'),
        ({"data": {}}, "expected data to be an array, got an object"),
        ({"data": []}, "expected 1568 numbers in data, got 0"),
        ({"data": [[]]}, "expected 2 arrays in data, got 1"),
        ({"data": [FLAT[:784], FLAT[784:-1]]}, "expected 784 numbers in data[1], got 783"),
        ({"data": [FLAT[:784], [*FLAT[784:], 0]]}, "expected 784 numbers in data[1], got 785"),
        ({"data": [FLAT[:784], 5]}, "expected 784 numbers in data[1], got 5"),
        ({"data": [FLAT, []]}, "expected 784 numbers in data[0], got 1568"),
        ({"data": [[FLAT[:784]], [FLAT[784:]]]}, "expected 784 numbers in data[0], got 1"),
        ({"data": INPUTS.tolist()}, "expected 784 numbers in data[0], got 28"),
        ({"data": [*FLAT[:-1], True]}, "expected numbers in data, got true at 1567"),
        ({"data": [*FLAT[:-1], None]}, "expected numbers in data, got null at 1567"),
        ({"data": [*FLAT[:-1], "1"]}, 'expected numbers in data, got "1" at 1567'),
        ({"data": [*FLAT[:-1], {}]}, "expected numbers in data, got an object at 1567"),
        ({"data": [*FLAT[:-1], [1]]}, "expected numbers in data, got an array of 1 at 1567"),
        ({"data": [*FLAT[:-1], math.nan]}, "expected finite numbers, got NaN"),
        ({"data": [*FLAT[:-1], 1.5]}, "expected numbers from 0 to 1, got 1.5 in image 1"),
        ({"data": [*FLAT[:-1], 255]}, "got 255 in image 1: send pixels / 255, or UINT8"),
        ({"data": [-0.1, *FLAT[1:]]}, "expected numbers from 0 to 1, got -0.1 in image 0"),
        ({"datatype": "UINT8"}, "expected integers from 0 to 255, got 0."),
        ({"datatype": "UINT8", "data": [256, *[0] * 1567]}, "got 256 in image 0"),
        ({"datatype": "UINT8", "data": [*[0] * 1567, -1]}, "got -1 in image 1"),
        ({"datatype": "UINT8", "data": [*[0] * 1567, 2**64 - 1]}, "in image 1"),
        ({"parameters": []}, "the parameters of input images to be an object, got an array of 0"),
        ({"parameters": {"binary_data_size": 6272}}, "data or binary_data_size in input images"),
        ({"parameters": {"shared_memory_region": "x"}}, "got a shared memory region"),
    ],
)
def test_an_input_that_is_none(client: FlaskClient, changes: dict[str, Any], words: str) -> None:
    check_error(infer(client, {"inputs": [tensor(**changes)]}), 400, words)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "malformed JSON"),
        (b"{", "malformed JSON"),
        (b'{"id": "\\ud800"}', "malformed JSON"),
        (b"[" * 5000, "malformed JSON"),
        (b'{"inputs": ' + b"[" * 100_000, "malformed JSON"),
        ([], "expected a JSON object, got an array of 0"),
        ({}, "expected inputs to be an array of 1, got null"),
        ({"inputs": []}, "expected inputs to be an array of 1, got an array of 0"),
        ({"inputs": [tensor()] * 2}, "got an array of 2"),
        ({"inputs": {"images": FLAT}}, "got an object"),
        ({"inputs": [FLAT]}, "expected the input to be an object, got an array of 1568"),
        ({"inputs": [None]}, "expected the input to be an object, got null"),
        ({"id": 7, "inputs": [tensor()]}, "expected id to be a string, got 7"),
        ({"id": ["7"], "inputs": [tensor()]}, "expected id to be a string, got an array of 1"),
        ({"parameters": 7, "inputs": [tensor()]}, "the parameters of the request to be an object"),
        (
            {"parameters": {"binary_data_output": 1}, "inputs": [tensor()]},
            "expected binary_data_output to be true or false, got 1",
        ),
        (b'{"id": "a", "id": "b"}', "expected id once in the request, got it twice"),
        (b'{"inputs": [{"name": "images", "name": "images"}]}', "name once in the input"),
        ({str(name): 0 for name in range(5000)}, "expected at most 1000 members in the request"),
    ],
)
def test_a_request_that_is_none(client: FlaskClient, document: Any, words: str) -> None:
    check_error(infer(client, document), 400, words)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ("label", 'expected outputs to be an array of at most 2, got "label"'),
        ({}, "got an object"),
        (["label"], 'expected an output to be an object, got "label"'),
        ([{}], "expected output probabilities or label, got null"),
        ([{"name": "logits"}], 'expected output probabilities or label, got "logits"'),
        ([{"name": {}}], "expected output probabilities or label, got an object"),
        ([{"name": "label"}] * 2, "expected each output once, got label twice"),
        ([{"name": "label"}] * 3, "got an array of 3"),
        ([{"name": "label", "parameters": []}], "the parameters of output label to be an object"),
        (
            [{"name": "label", "parameters": {"binary_data": "true"}}],
            'expected binary_data to be true or false, got "true"',
        ),
        (
            [{"name": "label", "parameters": {"classification": 1}}],
            "expected classification of probabilities, got it of label",
        ),
        (
            [{"name": "probabilities", "parameters": {"classification": 0}}],
            "expected classification to be how many classes, got 0",
        ),
        ([{"name": "probabilities", "parameters": {"classification": True}}], "got true"),
        ([{"name": "probabilities", "parameters": {"classification": 1.0}}], "got 1.0"),
        ([{"name": "probabilities", "parameters": {"classification": -1}}], "got -1"),
        ([{"name": "label", "parameters": {"shared_memory_region": "x"}}], "shared memory"),
    ],
)
def test_outputs_that_are_none(client: FlaskClient, outputs: Any, words: str) -> None:
    check_error(infer(client, {"inputs": [tensor()], "outputs": outputs}), 400, words)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (-1, "expected binary_data_size to be a number of bytes, got -1"),
        (True, "expected binary_data_size to be a number of bytes, got true"),
        (6272.0, "expected binary_data_size to be a number of bytes, got 6272.0"),
        ("6272", 'expected binary_data_size to be a number of bytes, got "6272"'),
        ([6272], "got an array of 1"),
        (0, "expected a binary_data_size of 6272 for 1568 numbers of 4 bytes, got 0"),
        (1568, "expected a binary_data_size of 6272 for 1568 numbers of 4 bytes, got 1568"),
        (2**63, "got 9223372036854775808"),
        (2**64, "an integer beyond 64 bits"),
        (None, "expected data or binary_data_size in input images, got neither"),
    ],
)
def test_a_size_of_binary_data_that_is_none(client: FlaskClient, size: Any, words: str) -> None:
    one = tensor(data=None, parameters={"binary_data_size": size})
    check_error(infer(client, {"inputs": [one]}, INPUTS.tobytes()), 400, words)


@pytest.mark.parametrize(
    ("binary", "words"),
    [
        (b"", "expected 6272 bytes of binary data after the JSON, got 0"),
        (INPUTS.tobytes()[:-1], "expected 6272 bytes of binary data after the JSON, got 6271"),
        (INPUTS.tobytes() + b"\0", "got 6273"),
        (
            np.full(1568, np.nan, "<f4").tobytes(),
            "expected numbers from 0 to 1, got nan in image 0",
        ),
        (np.full(1568, -np.inf, "<f4").tobytes(), "got -inf in image 0"),
        (np.full(1568, 0x7F800001, "<u4").tobytes(), "got nan in image 0"),
        (np.full(1568, 1.0001, "<f4").tobytes(), "in image 0: send pixels / 255, or UINT8"),
    ],
)
def test_binary_data_that_is_none(client: FlaskClient, binary: bytes, words: str) -> None:
    one = tensor(data=None, parameters={"binary_data_size": 6272})
    check_error(infer(client, {"inputs": [one]}, binary), 400, words)


@pytest.mark.parametrize(("datatype", "dtype"), [("FP64", "<f8"), ("FP16", "<f2")])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 60000])
def test_binary_data_of_other_widths_has_the_same_range(
    client: FlaskClient, datatype: str, dtype: str, value: float
) -> None:
    binary = np.full((2, 784), value, dtype).tobytes()
    one = tensor(data=None, datatype=datatype, parameters={"binary_data_size": len(binary)})
    check_error(infer(client, {"inputs": [one]}, binary), 400, "expected numbers from 0 to 1")


def test_binary_data_without_its_header_is_refused(client: FlaskClient) -> None:
    one = tensor(data=None, parameters={"binary_data_size": 6272})
    head = json.dumps({"inputs": [one]}).encode()
    check_error(infer(client, head + INPUTS.tobytes()), 400, "malformed JSON")
    check_error(infer(client, head), 400, "expected 6272 bytes of binary data after the JSON")


@pytest.mark.parametrize(
    "value", ["x", "-1", "1e3", "0x10", "", "1.0", "\N{SUPERSCRIPT TWO}", "9" * 5000, "+5", "1_0"]
)
def test_a_size_of_the_json_that_is_no_number(value: str) -> None:
    with pytest.raises(RequestError, match="Inference-Header-Content-Length to be a number"):
        read_json_size(value)


def test_a_size_of_the_json_that_does_not_fit(client: FlaskClient) -> None:
    document = {"inputs": [tensor()]}
    length = len(json.dumps(document))
    for size, words in (
        (length + 1, f"at most the body's {length} bytes, got {length + 1}"),
        (10**19 - 1, "at most the body's"),
        (length - 1, "malformed JSON"),
        (0, "malformed JSON"),
    ):
        check_error(
            infer(client, document, headers={"Inference-Header-Content-Length": str(size)}),
            400,
            words,
        )
    assert infer(client, document, b"").status_code == 200
    check_error(infer(client, document, b"x"), 400, "expected nothing after the JSON, got 1 bytes")


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_body_may_be_compressed(client: FlaskClient, encoding: str, compress: Any) -> None:
    body = json.dumps({"inputs": [tensor()]}).encode()
    headers = {"Content-Encoding": encoding}
    response = infer(client, compress(body), headers=headers)
    assert response.get_json() == infer(client, body).get_json()
    bomb = compress(b" " * 2**18 + body)
    check_error(infer(client, bomb, headers=headers), 413, "at most 262144 bytes when decompressed")
    check_error(infer(client, compress(body)[:-9], headers=headers), 400, "breaks off")
    check_error(infer(client, compress(body) + b"x", headers=headers), 400, "goes on after its end")
    check_error(
        infer(client, body, headers=headers), 400, "compressed as its Content-Encoding says"
    )
    check_error(infer(client, b"", headers=headers), 400, "breaks off")
    assert infer(client, body, headers={"Content-Encoding": "identity"}).status_code == 200


def test_another_compression_is_refused(client: FlaskClient) -> None:
    response = infer(client, b"x", headers={"Content-Encoding": "br"})
    check_error(response, 415, "expected Content-Encoding gzip or deflate, or none, got br")
    assert response.headers["Accept-Encoding"] == "gzip, deflate"


def test_a_body_beyond_the_limit_is_refused(client: FlaskClient) -> None:
    check_error(infer(client, b" " * (2**18 + 1)), 413, "at most 262144 bytes")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
MEANINGFUL = [
    *("id", "inputs", "outputs", "parameters", "name", "shape", "datatype", "data"),
    *("binary_data", "binary_data_size", "binary_data_output", "classification"),
]


@given(
    where=st.sampled_from(["request", "input", "parameters", "output", "output parameters"]),
    name=st.sampled_from(MEANINGFUL),
    value=JSON_VALUES,
    binary=st.binary(max_size=3),
    cut=st.integers(0, 400),
)
def test_nothing_else_is_raised(
    model: ServedModel, where: str, name: str, value: Any, binary: bytes, cut: int
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
    for size, body in ((None, head), (len(head), head + binary), (None, head[:-cut])):
        try:
            images = read_request(model, size, body).images
        except RequestError as error:
            refusal = error
        else:
            assert images.shape == (1, 784)
            continue
        assert refusal.status in (400, 422)
        assert len(refusal.detail) < 300


@given(
    value=st.floats(0, 1, width=16),
    at=st.integers(0, 783),
    datatype=st.sampled_from(["FP32", "FP64", "FP16"]),
)
def test_binary_and_json_read_the_same(
    model: ServedModel, value: float, at: int, datatype: str
) -> None:
    values = np.zeros((1, 784), DTYPES[datatype])
    values[0, at] = value
    in_json = json.dumps(
        {"inputs": [tensor(shape=[1, 784], datatype=datatype, data=values.tolist())]}
    ).encode()
    one = tensor(
        shape=[1, 784],
        datatype=datatype,
        data=None,
        parameters={"binary_data_size": values.nbytes},
    )
    head = json.dumps({"inputs": [one]}).encode()
    images = [
        read_request(model, None, in_json).images,
        read_request(model, len(head), head + values.tobytes()).images,
    ]
    for image in images:
        np.testing.assert_array_equal(image, values.astype(np.float32), strict=True)

"""TensorFlow Serving's REST protocol and KServe's v1."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from simdjson import Object as JsonObject
from werkzeug.test import TestResponse

from nncore import PublishedModel
from nncore.types import Array
from service.errors import RequestError
from service.image_arrays import ImageReader
from service.protocols.instances import FORMS, choose_form, read_document, read_images
from service.settings import Settings
from tests.service.conftest import make_app, publish

IMAGES = np.random.default_rng(0).random((2, 28, 28), np.float32)
ROWS: list[Any] = IMAGES.tolist()
FLAT: list[Any] = IMAGES.reshape(2, 784).tolist()
PREDICT = "/v1/models/mnist:predict"
NOTHING = [0] * 784


def predict(client: FlaskClient, document: Any, path: str = PREDICT) -> TestResponse:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.post(path, data=body)


def changed(value: Any) -> list[Any]:
    """The images with one number changed."""
    images: list[Any] = IMAGES.tolist()
    images[1][3][5] = value
    return images


def check_error(response: TestResponse, status: int, *words: str) -> None:
    assert response.status_code == status
    assert response.content_type == "application/json"
    document = response.get_json()
    assert set(document) == {"error", "request_id"}
    assert len(document["error"]) < 300
    for word in words:
        assert word in document["error"]


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": FLAT}, "predictions"),
        ({"instances": ROWS}, "predictions"),
        ({"instances": [{"images": image} for image in FLAT]}, "predictions"),
        ({"instances": [{"images": image} for image in ROWS]}, "predictions"),
        ({"inputs": FLAT}, "outputs"),
        ({"inputs": ROWS}, "outputs"),
        ({"inputs": {"images": FLAT}}, "outputs"),
        ({"inputs": {"images": ROWS}}, "outputs"),
        ({"signature_name": "serving_default", "instances": ROWS}, "predictions"),
        ({"signature_name": "", "inputs": ROWS}, "outputs"),
        ({"instances": ROWS, "parameters": {"a": [[1], "["]}, "id": "["}, "predictions"),
    ],
)
def test_the_answer_has_the_form_of_the_request(
    client: FlaskClient, published: PublishedModel, document: Any, answer: str
) -> None:
    response = predict(client, document)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["X-Model-Version"] == "mnist/1"
    assert set(response.get_json()) == {answer}
    expected = published.model.predict(IMAGES.reshape(2, 784)).T
    np.testing.assert_allclose(response.get_json()[answer], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_any_content_type_will_do(client: FlaskClient, content_type: str | None) -> None:
    body = json.dumps({"instances": [NOTHING]})
    assert client.post(PREDICT, data=body, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"instances": FLAT[0]}, "an array of images, each 784 or 28x28 numbers, got one image"),
        ({"instances": ROWS[0]}, "expected instances to be an array of images"),
        ({"inputs": FLAT[0]}, "got one image: put it into an array"),
        ({"inputs": ROWS[0]}, "expected inputs to be an array of images"),
        ({"inputs": {"images": ROWS[0]}}, "expected images to be an array of images"),
        ({"instances": []}, "expected at least one image"),
        ({"instances": [[]]}, "expected 784 numbers an image, got 0"),
        ({"instances": [1]}, "got arrays 1 deep"),
        ({"instances": [ROWS]}, "got arrays 4 deep"),
        ({"instances": None}, "got null"),
        ({"instances": "abc"}, 'got "abc"'),
        ({"instances": {"images": FLAT}}, "got an object"),
        ({"instances": [NOTHING] * 9}, "at most 8 images a request, got 9"),
        ({"instances": [{"images": NOTHING}] * 9}, "at most 8 images a request, got 9"),
        ({"instances": [{"images": NOTHING}, NOTHING]}, 'expected objects with "images"'),
        ({"instances": [NOTHING, {"images": NOTHING}]}, "got an object in image 1"),
        ({"instances": [{"images": [NOTHING]}]}, "expected 28 rows an image, got 1 in image 0"),
        ({"instances": [{"images": 7}]}, "expected images to be 784 or 28x28 numbers, got 7"),
        ({"instances": [{"images": None}]}, "got null"),
        ({"instances": [{"images": FLAT[0]}, {"images": None}]}, "got null in image 1"),
        ({"instances": [{"images": FLAT[0]}, {"images": ROWS[0]}]}, "got 28 in image 1"),
        ({"instances": [{"images": FLAT[0]}, {"images": [[1]] * 784}]}, "got an array of 1"),
        ({"instances": [{"images": NOTHING[1:]}]}, "got 783 in image 0"),
        ({"instances": [{"image": NOTHING}]}, 'expected "images", got "image"'),
        ({"instances": [{"images": NOTHING, "b": 1}]}, 'got "b"'),
        (b'{"instances": [{"images": [0], "images": [0]}]}', "one of them twice"),
        ({"instances": [{}]}, 'got no "images"'),
        ({"instances": [{"b64": "AAAA"}]}, 'got "b64"'),
        ({"inputs": {"image": FLAT}}, 'expected "images", got "image"'),
        ({"inputs": {}}, 'got no "images"'),
        ({"instances": ROWS, "inputs": ROWS}, 'got "instances" and "inputs"'),
        (b'{"instances": [], "instances": []}', 'got "instances" and "instances"'),
        ({}, "got none of them"),
        ({"pixels": ROWS}, "got none of them"),
        ({"instances": ROWS, **{str(i): i for i in range(100)}}, "at most 100 members, got 101"),
        ({"instances": ROWS, "signature_name": "other"}, 'signature_name "serving_default"'),
        ({"instances": ROWS, "signature_name": None}, "got null"),
        ({"instances": ROWS, "signature_name": ["serving_default"]}, "got an array of 1"),
        ({"instances": changed(1.001)}, "got 1.001 in image 1: divide grey levels by 255"),
        ({"instances": changed(255)}, "expected numbers from 0 to 1, got 255 in image 1"),
        ({"instances": changed(-0.5)}, "expected numbers from 0 to 1, got -0.5 in image 1"),
        ({"instances": changed(True)}, "got true in row 3 of image 1"),
        ({"instances": changed("1")}, 'got "1" in row 3'),
        ({"instances": changed(None)}, "got null in row 3"),
        ({"instances": changed([0])}, "got an array of 1 in row 3"),
        ({"instances": changed({})}, "got an object in row 3"),
        ({"instances": changed(float("nan"))}, "expected finite numbers, got NaN"),
        ({"instances": changed(float("inf"))}, "expected finite numbers, got Infinity"),
        (b'{"instances": [[1e999]]}', "expected finite numbers, got 1e999"),
        (ROWS, "expected a JSON object, got an array of 2"),
        (b"", "malformed JSON"),
        (b"instances=1", "malformed JSON"),
        (b'{"instances": [[1, 2', "malformed JSON"),
        (b"[" * 100_000, "depth limit"),
    ],
)
def test_what_is_wrong_is_explained(client: FlaskClient, document: Any, words: str) -> None:
    check_error(predict(client, document), 400, words)


def test_a_body_beyond_the_limit(client: FlaskClient) -> None:
    check_error(predict(client, b" " * (2**18 + 1)), 413, "at most 262144 bytes")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/models/other", "expected a model that is there (mnist), got other"),
        ("/v1/models/other/metadata", "got other"),
        ("/v1/models/other:predict", "got other"),
        ("/v1/models/" + "x" * 5000, "got xxx"),
        ("/v1/models/mnist/versions/2", "expected a version of model mnist that is there (1)"),
        ("/v1/models/mnist/versions/2/metadata", "got 2"),
        ("/v1/models/mnist/versions/2:predict", "got 2"),
        ("/v1/models/mnist/versions/0:predict", "got 0"),
        ("/v1/models/mnist/versions/" + "9" * 5000, "expected a path of this service"),
        ("/v1/models/mnist/versions/-1", "expected a path of this service"),
        ("/v1/models/mnist/versions/\uff11", "expected a path of this service"),
        ("/v1/models/mnist/versions/latest:predict", "expected a path of this service"),
        ("/v1/models/mnist:classify", "expected a path of this service"),
        ("/v1/models/", "expected a path of this service"),
        ("/v1/models//versions/1", "expected a path of this service"),
        ("/v1/models/../../etc/passwd", "expected a path of this service"),
        ("/v1/models/%2e%2e", "expected a model that is there"),
    ],
)
def test_what_is_not_there(client: FlaskClient, path: str, words: str) -> None:
    response = predict(client, {"instances": ROWS}, path) if ":" in path else client.get(path)
    check_error(response, 404, words)


def test_another_method(client: FlaskClient) -> None:
    check_error(client.get(PREDICT), 405, "expected POST, got GET")
    check_error(client.post("/v1/models/mnist"), 405, "expected GET, got POST")
    check_error(client.delete("/v1/models"), 405, "expected GET, got DELETE")


def test_kserve_lists_the_models_and_finds_the_process_alive(client: FlaskClient) -> None:
    assert client.get("/v1/models").get_json() == {"models": ["mnist"]}
    assert client.get("/").get_json()["status"] == "alive"


def test_the_status_of_a_model_serves_both_its_readers(client: FlaskClient) -> None:
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    expected = {"model_version_status": [available], "name": "mnist", "ready": True}
    for path in ("/v1/models/mnist", "/v1/models/mnist/versions/1"):
        response = client.get(path)
        assert response.content_type == "application/json"
        assert response.get_json() == expected


def test_the_status_tells_of_every_version(tmp_path: Path) -> None:
    for seed in range(3):
        publish(tmp_path, seed=seed)
    weights = tmp_path / "mnist" / "2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    client = make_app(Settings(model_dir=str(tmp_path), reload_seconds=0)).test_client()
    check_error(predict(client, {"instances": ROWS}, "/v1/models/mnist/versions/2:predict"), 503)

    status = client.get("/v1/models/mnist").get_json()
    versions = status["model_version_status"]
    assert [version["version"] for version in versions] == ["3", "2", "1"]
    assert [version["state"] for version in versions] == ["AVAILABLE", "END", "AVAILABLE"]
    assert versions[1]["status"]["error_code"] == "DATA_LOSS"
    assert "mnist 2" in versions[1]["status"]["error_message"]
    assert status["ready"] is True
    ready = [client.get(f"/v1/models/mnist/versions/{n}").get_json()["ready"] for n in (1, 2, 3)]
    assert ready == [True, False, True]


def test_a_model_that_is_damaged_is_not_ready(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "mnist" / "1" / "model.safetensors").write_bytes(b"")
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    assert client.get("/v1/models/mnist").get_json()["ready"] is False
    assert client.get("/v1/models").get_json() == {"models": ["mnist"]}
    for response in (
        predict(client, {"instances": ROWS}),
        client.get("/v1/models/mnist/metadata"),
    ):
        check_error(response, 503)
        assert int(response.headers["Retry-After"]) > 0


def test_without_a_model_there_is_none_to_list(tmp_path: Path) -> None:
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    assert client.get("/v1/models").get_json() == {"models": []}
    assert client.get("/").get_json()["status"] == "alive"
    check_error(client.get("/v1/models/mnist"), 503, "make train")
    check_error(client.get("/v1/models/other"), 404, "got other")


def test_each_version_answers_by_its_number(tmp_path: Path) -> None:
    published = [publish(tmp_path, seed=seed) for seed in range(2)]
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    for path, model in (
        ("/v1/models/mnist/versions/1:predict", published[0]),
        ("/v1/models/mnist/versions/2:predict", published[1]),
        (PREDICT, published[1]),
    ):
        response = predict(client, {"instances": ROWS}, path)
        assert response.headers["X-Model-Version"] == f"mnist/{model.manifest.version}"
        expected = model.model.predict(IMAGES.reshape(2, 784)).T
        np.testing.assert_allclose(response.get_json()["predictions"], expected, atol=1e-6, rtol=0)


def test_metadata(tmp_path: Path) -> None:
    publish(tmp_path, (3, 4), ["shirt", "shoe"])
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    for path in ("/v1/models/mnist/metadata", "/v1/models/mnist/versions/1/metadata"):
        document = client.get(path).get_json()
        assert document["model_spec"] == {"name": "mnist", "signature_name": "", "version": "1"}
        signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["method_name"] == "tensorflow/serving/predict"
        for tensors, name, shape in (
            ("inputs", "images", ["-1", "3", "4"]),
            ("outputs", "probabilities", ["-1", "2"]),
        ):
            assert list(signature[tensors]) == [name]
            tensor = signature[tensors][name]
            assert tensor["dtype"] == "DT_FLOAT"
            assert [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == shape


def test_the_protocol_is_counted_by_its_name(app: Flask) -> None:
    rules = {rule.rule: rule.endpoint for rule in app.url_map.iter_rules()}
    assert rules["/v1/models/<v1_model:name>:predict"] == "v1.predict"


NUMBERS = st.integers(0, 1) | st.floats(0, 1)
SHAPES = [(12,), (3, 4)]
NAMES = st.sampled_from(["images", "image", "b64", "["])
INTRUDERS = st.recursive(
    NUMBERS | st.none() | st.booleans() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=6,
)


def decode(document: Any, image_shape: tuple[int, ...] = (3, 4)) -> Array:
    reader = ImageReader(image_shape, max_batch=8)
    body = json.dumps(document).encode()

    def read(parsed: JsonObject) -> Array:
        return read_images(reader, parsed, choose_form(parsed, FORMS), body.count(b"["))

    return read_document(body, read)


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The specification in its slow form: the shape of a regular array of numbers, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ()
    if not isinstance(value, list):
        return None
    shapes = {shape_of(item) for item in value}
    if len(shapes) != 1 or None in shapes:
        return None
    return (len(value), *(shapes.pop() or ()))


def expected_images(form: str, value: Any) -> Array | None:
    """The images that a request holds, read in the slow way; None where it holds none."""

    def names(item: Any) -> bool:
        return isinstance(item, dict) and set(item) == {"images"}

    if form == "inputs" and names(value):
        value = value["images"]
    elif form == "instances" and isinstance(value, list) and all(map(names, value)):
        value = [item["images"] for item in value]
    shape = shape_of(value)
    if shape is None or shape[1:] not in SHAPES or shape[0] > 8:
        return None
    images = np.array(value, np.float64).reshape(-1, 12)
    return images.astype(np.float32) if ((images >= 0) & (images <= 1)).all() else None


@given(
    numbers=st.integers(1, 3).flatmap(
        lambda n: st.lists(NUMBERS, min_size=12 * n, max_size=12 * n)
    ),
    shape=st.sampled_from(SHAPES),
    form=st.sampled_from(FORMS),
    named=st.booleans(),
    intruder=INTRUDERS,
    change=st.sampled_from(["none", "replace", "insert", "delete", "wrap"]),
    other=st.sampled_from([{}, {"other": "["}, {"other": [[1]]}]),
    data=st.data(),
)
def test_a_request_decodes_to_what_numpy_makes_of_it_or_is_refused(
    numbers: list[float],
    shape: tuple[int, ...],
    form: str,
    named: bool,
    intruder: Any,
    change: str,
    other: Any,
    data: st.DataObject,
) -> None:
    value: Any = np.array(numbers, dtype=object).reshape(-1, *shape).tolist()
    arrays = [value, data.draw(st.sampled_from(value))]
    if len(shape) == 2:
        arrays.append(data.draw(st.sampled_from(arrays[-1])))
    if named:
        value = {"images": value} if form == "inputs" else [{"images": image} for image in value]
    array = data.draw(st.sampled_from(arrays if form == "inputs" or not named else arrays[1:]))
    at = data.draw(st.integers(0, len(array) - 1))
    if change == "replace":
        array[at] = intruder
    elif change == "insert":
        array.insert(at, intruder)
    elif change == "delete":
        del array[at]
    elif change == "wrap":
        array[at] = [array[at]]

    expected = expected_images(form, value)
    if expected is None:
        with pytest.raises(RequestError, match="expected") as caught:
            decode({form: value, **other})
        assert caught.value.status == 400
    else:
        np.testing.assert_array_equal(decode({form: value, **other}), expected, strict=True)


@pytest.mark.parametrize("image_shape", [(4,), (1, 4), (4, 1), (2, 2), (1, 1), (1, 2, 2)])
@pytest.mark.parametrize("form", FORMS)
def test_only_an_array_of_images_is_read_whatever_their_shape(
    form: str, image_shape: tuple[int, ...]
) -> None:
    size = int(np.prod(image_shape))
    shapes = [(size,), image_shape]
    lengths = (1, 2, 3, 4)
    for shape in [*shapes, *((n, *shape) for n in lengths for shape in shapes)]:
        document = {form: np.ones(shape).tolist()}
        if shape[1:] in shapes:
            assert decode(document, image_shape).shape == (shape[0], size)
        else:
            with pytest.raises(RequestError, match="expected"):
                decode(document, image_shape)

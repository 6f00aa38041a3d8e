"""`POST /predict`: every kind of body, and the response."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore import scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array
from service.inputs.pictures import read_pictures
from service.models.loaded_model import LoadedModel, load_model
from service.protocols.predict import encode_predictions
from service.settings import Settings
from tests.service.conftest import make_app
from tests.support.models import publish
from tests.support.pictures import BLACK, WHITE, draw, encode

LEVELS = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
FILES = {
    "image/png": encode(draw(200, BLACK, WHITE)),
    "image/jpeg": encode(draw(300, (20, 30, 120), (250, 240, 200)), "JPEG"),
    "image/webp": encode(draw(100), "WEBP"),
    "image/bmp": encode(draw(56), "BMP"),
}
PNG = FILES["image/png"]
JSON, RAW, NPY, FORM = (
    "application/json",
    "application/octet-stream",
    "application/x-npy",
    "multipart/form-data",
)


def npy(array: Array) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def post(client: FlaskClient, body: bytes, content_type: str, query: str = "") -> TestResponse:
    return client.post(f"/predict{query}", data=body, content_type=content_type)


def post_json(client: FlaskClient, query: str = "", **document: Any) -> TestResponse:
    return post(client, json.dumps(document).encode(), JSON, query)


def post_form(client: FlaskClient, query: str = "", **parts: Any) -> TestResponse:
    return client.post(f"/predict{query}", data=parts, content_type=FORM)


def file(data: bytes = PNG) -> tuple[BytesIO, str]:
    return BytesIO(data), "x"


def read_files(*files: bytes) -> Array:
    return read_pictures(files, (28, 28), recenter=False)


def probabilities_of(response: TestResponse) -> Array:
    assert response.status_code == 200, response.text
    assert response.content_type == JSON
    return np.array([one["probabilities"] for one in response.get_json()["predictions"]])


def check_same(response: TestResponse, expected: TestResponse | Array) -> None:
    if isinstance(expected, TestResponse):
        expected = probabilities_of(expected)
    np.testing.assert_allclose(probabilities_of(response), expected, atol=1e-6, rtol=0)


def check_rejected(response: TestResponse, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.get_json()["detail"]
    assert len(response.get_json()["detail"]) < 300


@pytest.fixture
def model(published: PublishedModel, tmp_path: Path) -> LoadedModel:
    return load_model(ModelRepository(tmp_path), "mnist", 1, 8)


def test_arrays_in_every_form(client: FlaskClient, published: PublishedModel) -> None:
    expected = published.model.predict(scale_pixels(LEVELS)).T
    unit = (LEVELS / 255).tolist()
    for response in (
        post_json(client, pixels=LEVELS.tolist()),
        post_json(client, pixels=LEVELS.reshape(3, 784).tolist()),
        post_json(client, pixels=unit, range=[0, 1]),
        post_json(client, pixels=unit, range=[0, 1.0]),
        post_json(client, "?range=0,1", pixels=unit),
        post_json(client, pixels=LEVELS.tolist(), range=[0, 255]),
        post(client, LEVELS.tobytes(), RAW),
        post(client, npy(LEVELS), NPY),
        post(client, npy(LEVELS.reshape(3, 784).astype(">i4")), NPY),
        post(client, npy(np.asfortranarray(LEVELS)), NPY),
        post(client, npy(LEVELS / 255), NPY, "?range=0,1"),
        post(client, npy(LEVELS.astype("f4")), NPY, "?range=0,255"),
        post(client, json.dumps({"pixels": unit}).encode(), f"{JSON}; charset=utf-8", "?range=0,1"),
        post(client, json.dumps({"pixels": LEVELS.tolist()}).encode("utf-8-sig"), JSON),
    ):
        check_same(response, expected)
    for pixels in (LEVELS[0].tolist(), LEVELS[0].ravel().tolist()):
        check_same(post_json(client, pixels=pixels), expected[:1])


def test_image_files_are_preprocessed(client: FlaskClient) -> None:
    expected = post_json(client, pixels=read_files(*FILES.values()).tolist())
    check_same(post_form(client, images=[file(data) for data in FILES.values()]), expected)
    named: dict[str, Any] = {f"file{i}": file(data) for i, data in enumerate(FILES.values())}
    check_same(post_form(client, **named), expected)
    for content_type, data in FILES.items():
        expected = post_json(client, pixels=read_files(data).tolist())
        check_same(post(client, data, content_type), expected)
        check_same(post(client, data, "image/png"), expected)  # the content decides


@pytest.mark.parametrize("data_set", ["mnist", "fashion-mnist"])
def test_only_pictures_of_digits_are_recentered(tmp_path: Path, data_set: str) -> None:
    publish(tmp_path, data_set=data_set)
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    seen = post(client, PNG, "image/png", "?include=pixels").get_json()["predictions"][0]["pixels"]
    expected = read_pictures([PNG], (28, 28), recenter=data_set == "mnist")
    assert seen == expected.ravel().tolist()


@pytest.mark.parametrize("top_k", [1, 3, 10])
def test_top_k_lists_the_likeliest_labels(client: FlaskClient, top_k: int) -> None:
    query = f"?top_k={top_k}"
    for response in (
        post_json(client, pixels=LEVELS.tolist(), top_k=top_k),
        post_json(client, query, pixels=LEVELS.tolist()),
        post(client, LEVELS.tobytes(), RAW, query),
        post(client, npy(LEVELS), NPY, query),
        post(client, PNG, "image/png", query),
        post_form(client, query, file=file()),
        post_form(client, file=file(), top_k=str(top_k)),
    ):
        assert response.status_code == 200
        for prediction in response.get_json()["predictions"]:
            listed = [(one["label"], one["probability"]) for one in prediction["top_k"]]
            ranked = sorted(enumerate(prediction["probabilities"]), key=lambda pair: -pair[1])
            assert listed == ranked[:top_k]
            assert listed[0] == (prediction["label"], prediction["confidence"])


def test_the_options_in_json_are_checked(client: FlaskClient) -> None:
    invalid: list[Any] = [0, 11, 1.0, True, None, "3", [3], {}]
    for top_k in invalid:
        response = post_json(client, pixels=LEVELS.tolist(), top_k=top_k)
        check_rejected(response, 422, "top_k to be an integer from 1 to 10")
    for value in [[0, 2], [1, 255], [0, 255, 0], [[0], 1], "0,1", None]:
        response = post_json(client, pixels=LEVELS.tolist(), range=value)
        check_rejected(response, 422, '"range" to be [0, 255] or [0, 1], got')


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?top_k=0", "expected top_k to be an integer from 1 to 10, got 0"),
        ("?top_k", 'got ""'),
        ("?top_k=3.0", 'got "3.0"'),
        ("?top_k=%C2%B3", "got"),
        ("?top_k=" + "9" * 5000, "got"),
        ("?range=0,2", 'got "range=0,2"'),
        ("?range=%ff", "got"),
        ("?include=", 'got "include="'),
        ("?include=pixels,logits", 'got "include=pixels,logits"'),
        ("?topk=3", "expected range=0,255 or 0,1, top_k or include=pixels,attributions in"),
    ],
)
def test_the_query_is_checked(client: FlaskClient, query: str, words: str) -> None:
    check_rejected(post(client, LEVELS.tobytes(), RAW, query), 422, words)


def test_include_is_for_few_images(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.protocols.predict._MAX_INCLUDE_IMAGES", 2)
    response = post(client, LEVELS.tobytes(), RAW, "?include=pixels")
    assert response.status_code == 422
    assert "at most 2 images" in response.get_json()["detail"]


def test_include_adds_pixels_and_attributions(
    client: FlaskClient, published: PublishedModel
) -> None:
    plain = post(client, LEVELS.tobytes(), RAW).get_json()["predictions"]
    assert all(set(one) == {"label", "confidence", "probabilities"} for one in plain)
    response = post(client, LEVELS.tobytes(), RAW, "?include=attributions,pixels")
    predictions = response.get_json()["predictions"]
    assert [one["pixels"] for one in predictions] == LEVELS.reshape(3, 784).tolist()
    labels = np.array([one["label"] for one in predictions])
    expected = published.model.attribute(scale_pixels(LEVELS), labels)
    attributions = np.array([one["attributions"] for one in predictions], np.float32)
    np.testing.assert_allclose(attributions, expected, rtol=1e-4, atol=1e-6)
    for form in (
        post(client, PNG, "image/png", "?include=pixels"),
        post_form(client, "?include=pixels", file=file()),
    ):
        (prediction,) = form.get_json()["predictions"]
        assert prediction["pixels"] == read_files(PNG).ravel().tolist()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"{", JSON, 400, "malformed JSON"),
        (b'{"pixels": [1, 2]}', JSON, 422, "28x28 or 784 numbers, or an array of such images"),
        (b'{"pixels": [[1, 2]]}', JSON, 422, "got 1x2 numbers"),
        (b'{"pixels": "x"}', JSON, 422, 'got "x"'),
        (b"{}", JSON, 422, "expected pixels"),
        (b'{"pixel": []}', JSON, 422, 'expected "pixels" or "range" or "top_k" in the request'),
        (bytes(783), RAW, 422, "784"),
        (bytes(784 * 9), RAW, 422, "at most 8 images per request, got 9"),
        (b"", NPY, 400, ".npy"),
        (npy(np.zeros((2, 27, 28))), NPY, 422, "(784,)"),
        (b"", "image/png", 422, "PNG, JPEG, WebP or BMP"),
        (PNG[:-30], "image/png", 422, "expected"),
        (b"x", FORM, 400, "boundary"),
        (b"--X--\r\n", f"{FORM}; boundary=X", 422, "at least one image"),
    ],
)
def test_an_invalid_body_is_explained(
    client: FlaskClient, body: bytes, content_type: str, status: int, words: str
) -> None:
    check_rejected(post(client, body, content_type), status, words)


def test_forms_hold_only_files_and_top_k(client: FlaskClient) -> None:
    for parts, words in (
        ({"file": file(), "name": "value"}, 'expected files with a filename or "top_k"'),
        ({"file": file(), "top_k": "many"}, 'top_k to be an integer from 1 to 10, got "many"'),
        ({"files": [file(), file(b"GIF")]}, "file 1"),
        ({"files": [file() for _ in range(9)]}, "expected at most 8"),
    ):
        check_rejected(post_form(client, **parts), 422, words)
    response = post(client, PNG, "image/png", "?range=0,1")
    check_rejected(response, 422, "expected no range")


@pytest.mark.parametrize("content_type", [None, "text/plain", "image/gif", "a b"])
def test_another_content_type_is_told_the_supported_ones(
    client: FlaskClient, content_type: str | None
) -> None:
    response = client.post("/predict", data=b"{}", content_type=content_type)
    check_rejected(response, 415, f"got {content_type or 'no Content-Type'}")
    for supported in (JSON, RAW, NPY, *FILES, FORM):
        assert supported in response.get_json()["detail"]


def test_models_of_other_shapes(tmp_path: Path) -> None:
    publish(tmp_path / "flat", (14, 10))
    client = make_app(Settings(model_dir=str(tmp_path / "flat"))).test_client()
    levels = read_pictures([PNG], (14, 10), recenter=False)
    check_same(post(client, PNG, "image/png"), post_json(client, pixels=levels.tolist()))

    publish(tmp_path / "deep", (2, 2, 3))
    client = make_app(Settings(model_dir=str(tmp_path / "deep"))).test_client()
    arrays = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3) * 10
    expected = post_json(client, pixels=arrays.tolist())
    check_same(post(client, arrays.tobytes(), RAW), expected)
    check_same(post(client, npy(arrays), NPY), expected)
    check_rejected(post(client, PNG, "image/png"), 415, "takes arrays of 2x2x3 numbers")


def test_every_number_is_the_same_float32_again(
    rng: np.random.Generator, model: LoadedModel
) -> None:
    probabilities = rng.dirichlet(np.ones(10), 50).astype(np.float32)
    predictions = json.loads(encode_predictions(model, probabilities, 10, {}).data)["predictions"]

    def check(numbers: Any, expected: Array) -> None:
        np.testing.assert_array_equal(np.array(numbers, np.float32), expected)

    check([one["probabilities"] for one in predictions], probabilities)
    check([one["confidence"] for one in predictions], probabilities.max(axis=1))
    listed = [[one["probability"] for one in prediction["top_k"]] for prediction in predictions]
    check(listed, -np.sort(-probabilities, axis=1))
    assert [one["label"] for one in predictions] == probabilities.argmax(axis=1).tolist()


def test_the_response_to_the_byte(tmp_path: Path) -> None:
    publish(tmp_path, (3, 4), ["a", "b"])
    model = load_model(ModelRepository(tmp_path), "mnist", 1, 8)
    assert encode_predictions(model, np.array([[0.1, 0.9]], np.float32), 2, {}).data == (
        b'{"model":"mnist","version":1,"predictions":'
        b'[{"label":"b","confidence":0.9,"probabilities":[0.1,0.9],'
        b'"top_k":[{"label":"b","probability":0.9},{"label":"a","probability":0.1}]}]}'
    )
    tie = json.loads(encode_predictions(model, np.full((1, 2), 0.5, np.float32), 2, {}).data)
    assert [one["label"] for one in tie["predictions"][0]["top_k"]] == ["a", "b"]

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore import scale_pixels
from nncore.repository import PublishedModel
from nncore.types import Array
from service.inputs.pictures import read_pictures
from service.settings import Settings
from tests.service.conftest import check_probabilities, make_app
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
JSON, RAW, NPY = "application/json", "application/octet-stream", "application/x-npy"
FORM = "multipart/form-data"


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


def check_rejected(response: TestResponse, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.get_json()["detail"]
    assert len(response.get_json()["detail"]) < 300


def test_arrays_are_read_in_every_form(client: FlaskClient, published: PublishedModel) -> None:
    expected = published.model.predict(scale_pixels(LEVELS)).T
    unit = (LEVELS / 255).tolist()
    for response in (
        post_json(client, pixels=LEVELS.reshape(3, 784).tolist(), range=[0, 255]),
        post_json(client, pixels=unit, range=[0, 1.0]),
        post(client, json.dumps({"pixels": unit}).encode(), f"{JSON}; charset=utf-8", "?range=0,1"),
        post(client, json.dumps({"pixels": LEVELS.tolist()}).encode("utf-8-sig"), JSON),
        post(client, LEVELS.tobytes(), RAW),
        post(client, npy(np.asfortranarray(LEVELS)), NPY),
        post(client, npy(LEVELS / 255), NPY, "?range=0,1"),
        post(client, npy(LEVELS.astype("f4")), NPY, "?range=0,255"),
    ):
        check_probabilities(probabilities_of(response), expected)
    for pixels in (LEVELS[0].tolist(), LEVELS[0].ravel().tolist()):
        check_probabilities(probabilities_of(post_json(client, pixels=pixels)), expected[:1])


def test_picture_files_are_preprocessed(client: FlaskClient) -> None:
    expected = probabilities_of(post_json(client, pixels=read_files(*FILES.values()).tolist()))
    one_name = post_form(client, images=[file(data) for data in FILES.values()])
    check_probabilities(probabilities_of(one_name), expected)
    named: dict[str, Any] = {f"file{i}": file(data) for i, data in enumerate(FILES.values())}
    check_probabilities(probabilities_of(post_form(client, **named)), expected)
    for row, (content_type, data) in zip(expected, FILES.items(), strict=True):
        check_probabilities(probabilities_of(post(client, data, content_type)), row[None])
        # The content decides.
        check_probabilities(probabilities_of(post(client, data, "image/png")), row[None])


@pytest.mark.parametrize("data_set", ["mnist", "synthetic", "fashion-mnist", None])
def test_only_pictures_of_digits_are_recentered(tmp_path: Path, data_set: str | None) -> None:
    publish(tmp_path, data_set=data_set)
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    seen = post(client, PNG, "image/png", "?include=pixels").get_json()["predictions"][0]["pixels"]
    recenter = data_set in ("mnist", "synthetic")
    assert seen == read_pictures([PNG], (28, 28), recenter=recenter).ravel().tolist()


def test_top_k_lists_the_likeliest_labels(client: FlaskClient) -> None:
    for response in (
        post_json(client, pixels=LEVELS.tolist(), top_k=3),
        post_json(client, "?top_k=3", pixels=LEVELS.tolist()),
        post(client, LEVELS.tobytes(), RAW, "?top_k=3"),
        post(client, npy(LEVELS), NPY, "?top_k=3"),
        post(client, PNG, "image/png", "?top_k=3"),
        post_form(client, "?top_k=3", file=file()),
        post_form(client, file=file(), top_k="3"),
    ):
        for prediction in response.get_json()["predictions"]:
            listed = [(one["label"], one["probability"]) for one in prediction["top_k"]]
            ranked = sorted(enumerate(prediction["probabilities"]), key=lambda pair: -pair[1])
            assert listed == ranked[:3]
            assert listed[0] == (prediction["label"], prediction["confidence"])


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
    (prediction,) = post_form(client, "?include=pixels", file=file()).get_json()["predictions"]
    assert prediction["pixels"] == read_files(PNG).ravel().tolist()


def test_include_is_for_few_images(tmp_path: Path) -> None:
    publish(tmp_path, (1, 2), "ab")
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    check_rejected(post(client, bytes(2 * 1000), RAW, "?include=pixels"), 422, "images")


@pytest.mark.parametrize("top_k", [0, 11, 1.0, True, None, "3", [3]])
def test_an_invalid_top_k_is_rejected(client: FlaskClient, top_k: Any) -> None:
    check_rejected(post_json(client, pixels=LEVELS.tolist(), top_k=top_k), 422, "from 1 to 10")


@pytest.mark.parametrize("levels", [[0, 2], [0, 255, 0], [[0], 1], "0,1", None])
def test_an_invalid_range_is_rejected(client: FlaskClient, levels: Any) -> None:
    check_rejected(post_json(client, pixels=LEVELS.tolist(), range=levels), 422, "[0, 1]")


@pytest.mark.parametrize(
    "query",
    [
        *("top_k=0", "top_k", "top_k=3.0", "top_k=%C2%B3", "top_k=" + "9" * 5000, "topk=3"),
        *("range=0,2", "range=%ff", "include=", "include=pixels,logits"),
    ],
)
def test_an_invalid_query_is_rejected(client: FlaskClient, query: str) -> None:
    check_rejected(post(client, LEVELS.tobytes(), RAW, f"?{query}"), 422, query[:5])


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"{", JSON, 400, "malformed JSON"),
        (b'{"pixels": [1, 2]}', JSON, 422, "28x28 or 784 numbers"),
        (b'{"pixel": []}', JSON, 422, '"pixel"'),
        (bytes(783), RAW, 422, "784"),
        (bytes(784 * 9), RAW, 422, "at most 8 images"),
        (b"", NPY, 400, ".npy"),
        (npy(np.zeros((2, 27, 28))), NPY, 422, "(784,)"),
        (b"", "image/png", 422, "PNG, JPEG, WebP or BMP"),
        (PNG[:-30], "image/png", 422, "damaged"),
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
        ({"file": file(), "name": "value"}, "top_k"),
        ({"file": file(), "top_k": "many"}, "from 1 to 10"),
        ({"files": [file(), file(b"GIF")]}, "file 1"),
        ({"files": [file() for _ in range(9)]}, "at most 8"),
    ):
        check_rejected(post_form(client, **parts), 422, words)
    check_rejected(post(client, PNG, "image/png", "?range=0,1"), 422, "range")


@pytest.mark.parametrize("content_type", [None, "text/plain", "image/gif", "a b"])
def test_the_error_for_another_content_type_lists_the_supported_ones(
    client: FlaskClient, content_type: str | None
) -> None:
    response = client.post("/predict", data=b"{}", content_type=content_type)
    check_rejected(response, 415, content_type or "no Content-Type")
    for supported in (JSON, RAW, NPY, *FILES, FORM):
        assert supported in response.get_json()["detail"]


def test_models_of_other_shapes_are_served(tmp_path: Path) -> None:
    publish(tmp_path / "flat", (14, 10))
    client = make_app(Settings(model_dir=str(tmp_path / "flat"))).test_client()
    levels = read_pictures([PNG], (14, 10), recenter=False)
    expected = probabilities_of(post_json(client, pixels=levels.tolist()))
    check_probabilities(probabilities_of(post(client, PNG, "image/png")), expected)

    publish(tmp_path / "deep", (2, 2, 3))
    client = make_app(Settings(model_dir=str(tmp_path / "deep"))).test_client()
    arrays = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3) * 10
<<<<<<< HEAD
    expected = probabilities_of(post_json(client, pixels=arrays.tolist()))
    check_probabilities(probabilities_of(post(client, arrays.tobytes(), RAW)), expected)
    check_probabilities(probabilities_of(post(client, npy(arrays), NPY)), expected)
    check_rejected(post(client, PNG, "image/png"), 415, "2x2x3")
=======
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
>>>>>>> svc

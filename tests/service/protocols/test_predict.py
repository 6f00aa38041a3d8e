"""`POST /predict`: every kind of body, and the answer."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from nncore import ModelRepository, PublishedModel, scale_pixels
from nncore.types import Array
from service.image_files import read_image_files
from service.protocols.predict import encode_predictions
from service.serving import ServedModel, class_labels, load_model
from service.settings import Settings
from tests.service.conftest import make_app, publish
from tests.service.pictures import BLACK, WHITE, draw, encode, grey_png

LEVELS = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
FILES = {
    "image/png": encode(draw(200, BLACK, WHITE)),
    "image/jpeg": encode(draw(300, (20, 30, 120), (250, 240, 200)), "JPEG"),
    "image/webp": encode(draw(100), "WEBP"),
    "image/bmp": encode(draw(56), "BMP"),
}


def npy(array: Array) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def post(client: FlaskClient, body: bytes, content_type: str, query: str = "") -> TestResponse:
    return client.post(f"/predict{query}", data=body, content_type=content_type)


def post_json(client: FlaskClient, query: str = "", **document: Any) -> TestResponse:
    return post(client, json.dumps(document).encode(), "application/json", query)


def post_form(client: FlaskClient, query: str = "", **parts: Any) -> TestResponse:
    return client.post(f"/predict{query}", data=parts, content_type="multipart/form-data")


def probabilities_of(response: TestResponse) -> Array:
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    return np.array([one["probabilities"] for one in response.get_json()["predictions"]])


def check_same(response: TestResponse, expected: TestResponse) -> None:
    np.testing.assert_allclose(
        probabilities_of(response), probabilities_of(expected), atol=1e-6, rtol=0
    )


def check_refused(response: TestResponse, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.get_json()["detail"]
    assert len(response.get_json()["detail"]) < 300


@pytest.fixture
def model(published: PublishedModel, tmp_path: Path) -> ServedModel:
    return load_model(ModelRepository(tmp_path), "mnist", 1, 8)


def named(tmp_path: Path, *labels: str) -> ServedModel:
    publish(tmp_path / "named", (3, 4), labels)
    return load_model(ModelRepository(tmp_path / "named"), "mnist", 1, 8)


def test_every_array_of_the_same_pixels_gives_the_same_answer(client: FlaskClient) -> None:
    expected = post_json(client, pixels=LEVELS.tolist())
    octets, npy_type = "application/octet-stream", "application/x-npy"
    check_same(post(client, LEVELS.tobytes(), octets), expected)
    check_same(post(client, npy(LEVELS), npy_type), expected)
    check_same(post(client, npy(LEVELS.reshape(3, 784).astype(">i4")), npy_type), expected)
    check_same(post(client, npy(np.asfortranarray(LEVELS)), npy_type), expected)
    check_same(post(client, npy(LEVELS / 255), npy_type, "?range=0,1"), expected)
    check_same(post(client, npy(LEVELS.astype("f4")), npy_type, "?range=0,255"), expected)
    check_same(post_json(client, "?range=0,1", pixels=(LEVELS / 255).tolist()), expected)


@pytest.mark.parametrize("file_type", FILES)
def test_an_image_file_is_what_the_network_sees_of_it(client: FlaskClient, file_type: str) -> None:
    levels = read_image_files([FILES[file_type]], (28, 28))
    expected = post_json(client, pixels=levels.tolist())
    check_same(post(client, FILES[file_type], file_type), expected)
    # The content counts, not what it is called.
    for other in FILES:
        check_same(post(client, FILES[file_type], other), expected)
    check_same(post(client, grey_png(levels[0]), "image/png"), expected)


def test_a_form_of_image_files_in_their_order(client: FlaskClient) -> None:
    levels = read_image_files(list(FILES.values()), (28, 28))
    expected = post_json(client, pixels=levels.tolist())
    files = [(BytesIO(data), "x") for data in FILES.values()]
    check_same(post_form(client, images=files), expected)
    files = [(BytesIO(data), "x") for data in FILES.values()]
    parts: dict[str, Any] = {f"file{index}": file for index, file in enumerate(files)}
    check_same(post_form(client, **parts), expected)


@pytest.mark.parametrize("top_k", [1, 3, 10])
def test_top_k_lists_the_likeliest_labels(client: FlaskClient, top_k: int) -> None:
    plain = post_json(client, pixels=LEVELS.tolist())
    query = f"?top_k={top_k}"
    png = FILES["image/png"]
    for response in (
        post_json(client, pixels=LEVELS.tolist(), top_k=top_k),
        post_json(client, query, pixels=LEVELS.tolist()),
        post(client, LEVELS.tobytes(), "application/octet-stream", query),
        post(client, npy(LEVELS), "application/x-npy", query),
        post(client, png, "image/png", query),
        post_form(client, query, file=(BytesIO(png), "x")),
        post_form(client, file=(BytesIO(png), "x"), top_k=str(top_k)),
    ):
        assert response.status_code == 200
        for prediction in response.get_json()["predictions"]:
            listed = [(one["label"], one["probability"]) for one in prediction["top_k"]]
            ranked = sorted(enumerate(prediction["probabilities"]), key=lambda pair: -pair[1])
            assert listed == ranked[:top_k]
            assert listed[0] == (prediction["label"], prediction["confidence"])
    with_them = post_json(client, pixels=LEVELS.tolist(), top_k=top_k).get_json()
    for prediction in with_them["predictions"]:
        del prediction["top_k"]
    assert with_them == plain.get_json()


@pytest.mark.parametrize("top_k", [0, -1, 11, 2**70, 1.0, 2.5, True, None, "3", [3], {}])
def test_another_top_k_is_refused(client: FlaskClient, top_k: Any) -> None:
    response = post_json(client, pixels=LEVELS.tolist(), top_k=top_k)
    check_refused(response, 422, "" if top_k == 2**70 else "top_k to be an integer from 1 to 10")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?top_k=0", "expected top_k to be an integer from 1 to 10, got 0"),
        ("?top_k=11", "got 11"),
        ("?top_k=-1", 'got "-1"'),
        ("?top_k=", 'got ""'),
        ("?top_k", 'got ""'),
        ("?top_k=3.0", 'got "3.0"'),
        ("?top_k=%C2%B3", "got"),
        ("?top_k=" + "9" * 5000, "got"),
        ("?top_k=3&top_k=3", "expected top_k once, got it twice"),
        ("?range=0,1&range=0,1", "expected range once, got it twice"),
        ("?range=0,2", 'expected range=0,255 or range=0,1, got "0,2"'),
        ("?range=", 'got ""'),
        ("?include=", "expected include=pixels or include=attributions, or both with a comma"),
        ("?include=pixels,pixels", 'got "pixels,pixels"'),
        ("?include=logits", 'got "logits"'),
        ("?include=pixels&include=pixels", "expected include once, got it twice"),
        ("?topk=3", 'expected no query but range, top_k, include, got "topk"'),
    ],
)
@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/json"])
def test_another_query_is_refused(
    client: FlaskClient, query: str, words: str, content_type: str
) -> None:
    check_refused(post(client, LEVELS.tobytes(), content_type, query), 422, words)


@pytest.mark.parametrize("content_type", [*FILES, "multipart/form-data"])
def test_the_image_that_the_network_sees_is_told(client: FlaskClient, content_type: str) -> None:
    if content_type in FILES:
        file = FILES[content_type]
        response = post(client, file, content_type, "?include=pixels")
    else:
        file = FILES["image/png"]
        response = post_form(client, "?include=pixels", file=(BytesIO(file), "x"))
    (prediction,) = response.get_json()["predictions"]
    seen = read_image_files([file], (28, 28))
    assert prediction["pixels"] == seen.ravel().tolist()
    again = post(client, seen.tobytes(), "application/octet-stream")
    np.testing.assert_allclose(probabilities_of(again), [prediction["probabilities"]], atol=1e-6)


def test_what_speaks_for_the_label_is_told(client: FlaskClient, published: PublishedModel) -> None:
    query = "?include=attributions,pixels&top_k=1"
    response = post(client, LEVELS.tobytes(), "application/octet-stream", query)
    predictions = response.get_json()["predictions"]
    assert [p["pixels"] for p in predictions] == LEVELS.reshape(3, 784).tolist()
    assert [p["top_k"][0]["label"] for p in predictions] == [p["label"] for p in predictions]
    labels = np.array([p["label"] for p in predictions])
    expected = published.model.attribute(scale_pixels(LEVELS), labels)
    told = np.array([p["attributions"] for p in predictions], np.float32)
    np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-6)


def test_nothing_more_is_told_than_asked_for(client: FlaskClient) -> None:
    response = post(client, LEVELS.tobytes(), "application/octet-stream")
    for prediction in response.get_json()["predictions"]:
        assert set(prediction) == {"label", "confidence", "probabilities"}


def test_nothing_is_asked_for_twice(client: FlaskClient) -> None:
    pixels = LEVELS.tolist()
    check_refused(post_json(client, "?top_k=3", pixels=pixels, top_k=3), 422, "top_k once")
    check_refused(post_json(client, "?range=0,1", pixels=pixels, range=[0, 1]), 422, "range once")
    file = (BytesIO(FILES["image/png"]), "x")
    check_refused(post_form(client, "?top_k=3", file=file, top_k="3"), 422, "top_k once")


def test_an_image_file_has_a_range_of_its_own(client: FlaskClient) -> None:
    response = post(client, FILES["image/png"], "image/png", "?range=0,1")
    check_refused(response, 422, "expected no range with image files")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"", "application/octet-stream", 422, "expected 784 bytes an image"),
        (bytes(783), "application/octet-stream", 422, "got 783"),
        (bytes(784 * 9), "application/octet-stream", 422, "at most 8 images a request, got 9"),
        (b"", "application/x-npy", 400, "expected a .npy file"),
        (npy(np.zeros((2, 27, 28))), "application/x-npy", 422, "expected an array of shape (784,)"),
        (npy(np.array([None])), "application/x-npy", 422, "got dtype '|O'"),
        (b"", "image/png", 422, "expected a PNG, JPEG, WebP or BMP file, got an empty one"),
        (b"GIF89a", "image/png", 422, "got one that begins with b'GIF89a'"),
        (FILES["image/png"][:-30], "image/png", 422, "damaged or breaks off"),
        (b"x", "multipart/form-data", 400, "expected a boundary"),
        (b"x", "multipart/form-data; boundary=X", 400, "malformed multipart/form-data"),
        (b"--X--\r\n", "multipart/form-data; boundary=X", 422, "at least one image, got none"),
    ],
)
def test_what_is_wrong_is_explained(
    client: FlaskClient, body: bytes, content_type: str, status: int, words: str
) -> None:
    check_refused(post(client, body, content_type), status, words)


def test_forms_that_are_wrong(client: FlaskClient) -> None:
    png = FILES["image/png"]
    response = post_form(client, file=(BytesIO(png), "x"), name="value")
    check_refused(response, 422, 'expected image files and, where needed, "top_k", got "name"')
    response = post_form(client, file=(BytesIO(png), "x"), top_k="many")
    check_refused(response, 422, 'top_k to be an integer from 1 to 10, got "many"')
    response = post_form(client, files=[(BytesIO(png), "x"), (BytesIO(b"GIF"), "x")])
    check_refused(response, 422, "got one that begins with b'GIF' in file 1")
    response = post_form(client, files=[(BytesIO(png), "x") for _ in range(9)])
    check_refused(response, 422, "expected at most 8 images a request")


@pytest.mark.parametrize("content_type", [None, "text/plain", "image/gif", "image/svg+xml", "a b"])
def test_another_content_type_is_told_all_that_are_supported(
    client: FlaskClient, content_type: str | None
) -> None:
    response = client.post("/predict", data=b"{}", content_type=content_type)
    check_refused(response, 415, f"got {content_type or 'no Content-Type'}")
    for supported in (
        "application/json",
        "application/octet-stream",
        "application/x-npy",
        *FILES,
        "multipart/form-data",
    ):
        assert supported in response.get_json()["detail"]


def test_a_model_whose_images_are_not_2d_takes_arrays(tmp_path: Path) -> None:
    publish(tmp_path, (2, 2, 3))
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    arrays = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3) * 10
    expected = post_json(client, pixels=arrays.tolist())
    check_same(post(client, arrays.tobytes(), "application/octet-stream"), expected)
    check_same(post(client, npy(arrays), "application/x-npy"), expected)
    response = post(client, FILES["image/png"], "image/png")
    check_refused(
        response, 415, "expected arrays, for the images of model mnist are of shape 2x2x3"
    )


def test_a_model_of_another_2d_shape_takes_image_files(tmp_path: Path) -> None:
    publish(tmp_path, (14, 10))
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    levels = read_image_files([FILES["image/png"]], (14, 10))
    expected = post_json(client, pixels=levels.tolist())
    check_same(post(client, FILES["image/png"], "image/png"), expected)


def test_a_large_image_is_read_too(tmp_path: Path, published: PublishedModel) -> None:
    app: Flask = make_app(Settings(model_dir=str(tmp_path)))
    data = encode(draw(3000, BLACK, WHITE), "JPEG", quality=95)
    levels = read_image_files([data], (28, 28))
    expected = published.model.predict(scale_pixels(levels.reshape(1, -1))).T
    got = probabilities_of(post(app.test_client(), data, "image/jpeg"))
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


def test_a_blank_image_is_zeros(client: FlaskClient) -> None:
    blank = encode(Image.new("RGB", (90, 60), WHITE))
    check_same(post(client, blank, "image/png"), post_json(client, pixels=[0] * 784))


def test_every_number_is_the_same_float32_again(
    rng: np.random.Generator, model: ServedModel
) -> None:
    probabilities = rng.dirichlet(np.ones(10), 50).astype(np.float32)
    predictions = json.loads(encode_predictions(model, probabilities, 10))["predictions"]
    np.testing.assert_array_equal(
        np.array([p["probabilities"] for p in predictions], np.float32), probabilities
    )
    np.testing.assert_array_equal(
        np.array([p["confidence"] for p in predictions], np.float32), probabilities.max(axis=1)
    )
    np.testing.assert_array_equal(
        np.array([[one["probability"] for one in p["top_k"]] for p in predictions], np.float32),
        -np.sort(-probabilities, axis=1),
    )
    assert [p["label"] for p in predictions] == probabilities.argmax(axis=1).tolist()


def test_a_number_is_as_short_as_float32_allows(tmp_path: Path) -> None:
    model = named(tmp_path, "a", "b")
    probabilities = np.array([[0.1, 0.9]], np.float32)
    plain = (
        b'{"model":"mnist","version":1,"predictions":'
        b'[{"label":"b","confidence":0.9,"probabilities":[0.1,0.9]'
    )
    assert encode_predictions(model, probabilities) == plain + b"}]}"
    assert encode_predictions(model, probabilities, 2) == plain + (
        b',"top_k":[{"label":"b","probability":0.9},{"label":"a","probability":0.1}]}]}'
    )


def test_of_equally_likely_labels_the_first_comes_first(tmp_path: Path) -> None:
    answer = encode_predictions(named(tmp_path, "a", "b"), np.full((1, 2), 0.5, np.float32), 2)
    prediction = json.loads(answer)["predictions"][0]
    assert [one["label"] for one in prediction["top_k"]] == ["a", "b"]
    assert prediction["label"] == "a"


def test_probabilities_may_lie_in_memory_as_the_network_leaves_them(tmp_path: Path) -> None:
    model = named(tmp_path, "0", "1")
    columns = np.array([[0.25, 1], [0.75, 0]], np.float32)
    rows = encode_predictions(model, np.ascontiguousarray(columns.T), 2)
    assert encode_predictions(model, columns.T, 2) == rows


def test_labels_that_are_the_classes_numbers_are_numbers() -> None:
    assert class_labels(["0", "1", "2"]) == [0, 1, 2]
    assert class_labels(["1", "2", "3"]) == ["1", "2", "3"]
    assert class_labels(["shirt", "shoe"]) == ["shirt", "shoe"]

import gzip
import json
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from nncore import Predictor, scale_pixels
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
FIELD = b'--X\r\nContent-Disposition: form-data; name="name"\r\n\r\nvalue\r\n--X--\r\n'


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
    response = post_form(client, images=[file(data) for data in FILES.values()])
    check_probabilities(probabilities_of(response), expected)
    for row, (content_type, data) in zip(expected, FILES.items(), strict=True):
        for claimed in (content_type, "image/png"):  # the content decides
            check_probabilities(probabilities_of(post(client, data, claimed)), row[None])


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
        post(client, LEVELS.tobytes(), RAW, "?top_k=3"),
        post_form(client, "?top_k=3", file=file()),
        post_form(client, file=file(), top_k="3"),
    ):
        for prediction in response.get_json()["predictions"]:
            listed = [(one["label"], one["probability"]) for one in prediction["top_k"]]
            ranked = sorted(enumerate(prediction["probabilities"]), key=lambda pair: -pair[1])
            assert listed == ranked[:3]
            assert listed[0] == (prediction["label"], prediction["confidence"])


def test_answers_are_exact_and_ties_keep_the_order_of_the_labels(client: FlaskClient) -> None:
    answers = np.random.default_rng(0).dirichlet(np.ones(10), 3).astype(np.float32)
    answers[0] = 0.1
    with patch.object(Predictor, "predict", return_value=answers.T):
        response = post_json(client, pixels=LEVELS.tolist(), top_k=10)
    np.testing.assert_array_equal(probabilities_of(response).astype(np.float32), answers)
    first = response.get_json()["predictions"][0]
    assert first["label"] == 0
    assert [one["label"] for one in first["top_k"]] == [*range(10)]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_is_decoded_up_to_the_limit(client: FlaskClient, encoding: str) -> None:
    """Regression: only Open Inference was decoded, and its compressed size limited."""

    compress = gzip.compress if encoding == "gzip" else zlib.compress

    def post_encoded(body: bytes, name: str = encoding) -> TestResponse:
        headers = {"Content-Encoding": name}
        return client.post("/predict", data=body, content_type=RAW, headers=headers)

    assert post_encoded(compress(LEVELS.tobytes()), f" {encoding.upper()} ").status_code == 200
    check_rejected(post_encoded(compress(bytes(2**24))), 413, "bytes")
    for malformed in (b"", LEVELS.tobytes(), compress(LEVELS.tobytes())[:-1]):
        check_rejected(post_encoded(malformed), 400, encoding)
    response = post_encoded(LEVELS.tobytes(), "br")
    check_rejected(response, 415, "br")
    assert response.headers["Accept-Encoding"] == "gzip, deflate"


def test_include_adds_pixels_and_attributions(
    client: FlaskClient, published: PublishedModel
) -> None:
    response = post(client, LEVELS.tobytes(), RAW, "?include=attributions,pixels")
    predictions = response.get_json()["predictions"]
    assert [one["pixels"] for one in predictions] == LEVELS.reshape(3, 784).tolist()
    labels = np.array([one["label"] for one in predictions])
    expected = published.model.attribute(scale_pixels(LEVELS), labels)
    attributions = np.array([one["attributions"] for one in predictions], np.float32)
    np.testing.assert_allclose(attributions, expected, rtol=1e-4, atol=1e-6)


def test_an_invalid_option_is_rejected(client: FlaskClient) -> None:
    for top_k in (0, 11, 1.0, True, None, "3"):
        check_rejected(post_json(client, pixels=LEVELS.tolist(), top_k=top_k), 422, "from 1 to 10")
    for levels in ([0, 2], [0, 255, 0], [[0], 1], "0,1"):
        check_rejected(post_json(client, pixels=LEVELS.tolist(), range=levels), 422, "[0, 1]")
    for query in (
        *("top_k=0", "top_k", "top_k=3.0", "top_k=%C2%B3", "top_k=" + "9" * 5000, "topk=3"),
        *("range=0,2", "range=%ff", "include=", "include=pixels,logits"),
    ):
        check_rejected(post(client, LEVELS.tobytes(), RAW, f"?{query}"), 422, query[:5])


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"", JSON, 400, "line 1 column 1"),
        (b'{"pixels": 1} {}', JSON, 400, "after"),
        (b'{"a": "\xff"}', JSON, 400, "UTF-8"),
        (b"[" * 2000, JSON, 400, "depth"),
        (b'{"pixels": [NaN]}', JSON, 422, "finite numbers"),
        (b"[1]", JSON, 422, "a JSON object, got an array of 1"),
        (b'{"pixels": [], "pixels": []}', JSON, 422, "once"),
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
        (b"{}", "text/plain", 415, "application/x-npy"),
        (FIELD, f"{FORM}; boundary=X", 422, "top_k"),
    ],
)
def test_an_invalid_body_is_explained(
    client: FlaskClient, body: bytes, content_type: str, status: int, words: str
) -> None:
    check_rejected(post(client, body, content_type), status, words)

"""Every parser of untrusted input, as a function of bytes that returns whether it accepts them.

What is accepted is compared with a second reader; an error must be one short line. Any other
exception is a fault.
"""

import atexit
import gzip
import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import numpy as np
from flask import Flask
from numpy.typing import ArrayLike
from werkzeug.test import create_environ, run_wsgi_app

from nncore import MAX_PIXEL
from nncore.repository import (
    MANIFEST_FILE,
    WEIGHTS_FILE,
    DamagedVersionError,
    Manifest,
    ModelRepository,
)
from nncore.types import Array
from service import create_app
from service.errors import RequestError
from service.inputs.content_encoding import decompress
from service.inputs.multipart import read_form
from service.inputs.pictures import read_pictures
from service.inputs.raw_arrays import read_npy, read_raw
from service.models.loaded_model import LoadedModel, load_model
from service.protocols.mlflow import decode_csv, decode_json
from service.protocols.open_inference_codec import read_request
from service.protocols.predict import Options, decode_pixels
from service.settings import Settings
from trainer.errors import DataError
from trainer.idx import read_idx
from trainer.idx_directory import load_idx_directory
from trainer.labelled_images import LARGEST_CLASS_COUNT, ImageData
from trainer.npz import load_npz

T = TypeVar("T")

CORPUS = Path(__file__).with_name("corpus")
FOLDER = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
# A model of 2x3 pixels and three classes.
MODEL, MAX_BATCH, MAX_BODY_BYTES = "tiny", 4, 2**16
MANIFEST = (CORPUS / "manifest" / "good-published").read_bytes()
WEIGHTS = (CORPUS / "weights" / "good-published").read_bytes()
PNG = b"\x89PNG\r\n\x1a\n"
TWO_LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1])


def write_version(manifest: bytes = MANIFEST, weights: bytes = WEIGHTS) -> ModelRepository:
    folder = FOLDER / "models" / MODEL / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    return ModelRepository(FOLDER / "models")


@cache
def served_model() -> LoadedModel:
    return load_model(write_version(), MODEL, 1, MAX_BATCH)


@cache
def application() -> Flask:
    settings = Settings(
        model_dir=str(write_version().root),
        model_name=MODEL,
        max_batch=MAX_BATCH,
        max_body_bytes=MAX_BODY_BYTES,
    )
    app = create_app(settings, background=False)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


def unless_rejected(read: Callable[..., T], *arguments: Any, **options: Any) -> T | None:
    """Return what is read; None where it is rejected with one short line."""
    try:
        return read(*arguments, **options)
    except RequestError as error:
        message, status = error.detail, error.status
    except (DataError, DamagedVersionError) as error:
        message, status = str(error), 422
    assert status in (400, 413, 415, 422), status
    assert message.isprintable(), f"not a line: {message!r:.2000}"
    assert len(message) <= 1000, f"{len(message)} characters: {message!r:.2000}"
    return None


def is_read_as(images: Array | None, expected: Callable[[], ArrayLike]) -> bool:
    """Compare a network's input, float32 `(batch, pixels)` in [0, 1], with another reader's."""
    if images is None:
        return False
    assert (images.dtype.str, images.ndim) == ("<f4", 2)
    assert 0 <= images.min() <= images.max() <= 1
    levels = np.asarray(expected(), float).reshape(len(images), -1)
    np.testing.assert_allclose(images, levels, rtol=1e-6, atol=1e-44)
    return True


def read_octets(body: bytes) -> bool:
    images = [unless_rejected(read_raw, body, served_model().images, n) for n in (1, MAX_PIXEL)]
    levels = np.array([*body], float)
    return is_read_as(images[0], lambda: levels) | is_read_as(images[1], lambda: levels / MAX_PIXEL)


def read_npy_file(body: bytes) -> bool:
    accepted = False
    for max_value in (1, MAX_PIXEL):

        def expected(largest: int = max_value) -> Any:
            array = np.load(BytesIO(body), allow_pickle=False)
            return array.astype(float) / (1 if array.dtype == np.bool_ else largest)

        images = unless_rejected(read_npy, body, served_model().images, max_value)
        accepted |= is_read_as(images, expected)
    return accepted


def flat(value: Any, max_value: int = 1) -> list[float]:
    if isinstance(value, list):
        return [number for element in value for number in flat(element, max_value)]
    assert type(value) in (int, float), value
    return [value / max_value]


def read_predict_request(body: bytes) -> bool:
    model, options = served_model(), Options()
    images = unless_rejected(decode_pixels, model.images, len(model.labels), body, options)
    max_value = options.max_value or MAX_PIXEL
    return is_read_as(images, lambda: flat(json.loads(body)["pixels"], max_value))


def read_instances(body: bytes) -> bool:
    def expected() -> list[float]:
        document = json.loads(body)
        frame = document.get("dataframe_split", {})
        value = frame.get("data") or document.get("instances") or document.get("inputs")
        if isinstance(value, dict):
            value = value["images"]
        return flat([one["images"] if isinstance(one, dict) else one for one in value])

    return is_read_as(unless_rejected(decode_json, served_model().images, body), expected)


def read_csv(body: bytes) -> bool:
    images = unless_rejected(decode_csv, served_model().images, body)
    if images is None:
        return False
    lines = body.rstrip().split(b"\n")
    assert len(lines) - len(images) in (0, 1)  # the names
    rows = [[*map(float, line.split(b","))] for line in lines[-len(images) :]]
    return is_read_as(images, lambda: rows)


def read_infer_request(data: bytes) -> bool:
    """Read a line, `Inference-Header-Content-Length` or empty, and a body after it."""
    line, _, body = data.partition(b"\n")
    header = line.decode("latin-1") or None
    request = unless_rejected(read_request, served_model(), header, body)
    if request is None:
        return False
    json_size = len(body) if header is None else int(header)
    tensor = json.loads(body[:json_size])["inputs"][0]
    if tensor.get("data") is None:
        dtypes = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "UINT8": "u1"}
        levels = np.frombuffer(body[json_size:], dtypes[tensor["datatype"]]).astype(float)
    else:
        levels = np.array(tensor["data"], float)
        assert levels.size == np.prod(tensor["shape"])
    max_value = 255 if tensor["datatype"] == "UINT8" else 1
    return is_read_as(request.images, lambda: levels / max_value)


def read_multipart(data: bytes) -> bool:
    """The first line is the boundary."""
    line, _, body = data.partition(b"\n")
    form = unless_rejected(read_form, body, line.decode("latin-1") or None, MAX_BATCH)
    if form is None:
        return False
    files, fields = form
    assert len(files) <= MAX_BATCH
    assert sum(map(len, files)) + sum(len(value) for _, value in fields) < len(body)
    for content in files:
        # Werkzeug accepts any line break.
        assert any(content + end + b"--" + line in body for end in (b"\r\n", b"\n", b"\r"))
    return True


def read_compressed(body: bytes) -> bool:
    plain = unless_rejected(decompress, body, "gzip", MAX_BODY_BYTES)
    if plain is None:
        return False
    assert len(plain) <= MAX_BODY_BYTES
    assert plain == zlib.decompress(body, zlib.MAX_WBITS | 32)
    return True


def read_picture(data: bytes) -> bool:
    """Read a picture file; a PNG gets correct checksums, which a fuzzer does not find."""
    if data.startswith(PNG):
        pieces, start = [PNG], len(PNG)
        while start + 12 <= len(data):
            end = start + 8 + int.from_bytes(data[start : start + 4], "big")
            checksum = zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")
            pieces += [data[start:end], checksum]
            start = end + 4
        data = b"".join([*pieces, data[start:]])
    accepted = False
    for recenter in (True, False):
        levels = unless_rejected(read_pictures, [data], (28, 28), recenter=recenter)
        assert levels is None or (levels.dtype.str, *levels.shape) == ("|u1", 1, 28, 28)
        accepted |= levels is not None
    return accepted


def answer_request(data: bytes) -> bool:
    """Answer a request: a line of method and path, headers, an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    # No server passes a carriage return on.
    line, *headers = head.decode("latin-1").replace("\r", "").split("\n")
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    environ = create_environ(method=method, input_stream=BytesIO(body), content_length=len(body))
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
    environ["QUERY_STRING"] = query
    for header in headers:
        name, _, value = header.partition(":")
        name = name.strip().upper().replace("-", "_")
        if name != "CONTENT_LENGTH":
            environ[name if name == "CONTENT_TYPE" else f"HTTP_{name}"] = value.strip()
    _, status, _ = run_wsgi_app(application(), environ, buffered=True)
    assert int(status.split()[0]) < 500, status
    return int(status.split()[0]) < 400


def load_version(manifest: bytes, weights: bytes = WEIGHTS) -> bool:
    published = unless_rejected(write_version(manifest, weights).load, MODEL)
    if published is None:
        return False
    model = published.model
    assert len(model.layers) == len(published.manifest.nodes)
    answers = model.predict(np.ones((2, *model.input_shape), np.float32))
    assert answers.shape == (len(published.manifest.labels), 2)
    published.manifest.to_json()
    return True


def read_weights(data: bytes) -> bool:
    """Load a version with these weights, of which the manifest has the digest."""
    manifest = replace(Manifest.from_json(MANIFEST), sha256=hashlib.sha256(data).hexdigest())
    return load_version(manifest.to_json().encode(), data)


def check_data_set(data_set: ImageData) -> None:
    for part in (data_set.train, data_set.test):
        if part is not None:
            assert part.images.dtype.str == "|u1"
            assert part.labels.dtype.str[1:] == "i8"
            assert len(part.images) == len(part.labels) > 0
            assert 0 <= part.labels.min() <= part.labels.max() < LARGEST_CLASS_COUNT


def read_idx_file(data: bytes) -> bool:
    """Read an IDX file, alone and then as the images of a data set of two."""
    path = FOLDER / "train-images-idx"
    path.write_bytes(data)
    file = unless_rejected(read_idx, path)
    if file is None:
        return False
    plain, array = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data, file.array
    assert plain[3] == array.ndim
    values = array.astype(array.dtype.newbyteorder(">")).tobytes()
    assert plain[4 + 4 * array.ndim :] == values
    (FOLDER / "train-labels-idx").write_bytes(TWO_LABELS)
    data_set = unless_rejected(load_idx_directory, FOLDER, "two")
    if data_set is not None:
        check_data_set(data_set)
    return True


def read_npz_file(data: bytes) -> bool:
    path = FOLDER / "tiny.npz"
    path.write_bytes(data)
    data_set = unless_rejected(load_npz, path, "tiny")
    if data_set is None:
        return False
    check_data_set(data_set)
    return True


TARGETS: Mapping[str, Callable[[bytes], bool]] = {
    "compressed": read_compressed,
    "csv": read_csv,
    "form": read_multipart,
    "idx": read_idx_file,
    "image": read_picture,
    "instances": read_instances,
    "manifest": load_version,
    "npy": read_npy_file,
    "npz": read_npz_file,
    "octets": read_octets,
    "open-inference": read_infer_request,
    "predict": read_predict_request,
    "request": answer_request,
    "weights": read_weights,
}

"""Images as numbers in text: the JSON of `/predict`, of `instances` and its like, and CSV."""

import json
from typing import Any

from nncore import MAX_PIXEL
from service.protocols.mlflow import decode_csv, decode_json
from service.protocols.predict import Options, decode_pixels
from tests.fuzz.published import served_model
from tests.fuzz.targets.expectations import check_images, unless_refused


def read_predict_request(body: bytes) -> bool:
    """Read a body of `POST /predict`."""
    model, options = served_model(), Options()
    images = unless_refused(lambda: decode_pixels(model.images, len(model.labels), body, options))
    if images is None:
        return False
    pixels = json.loads(body)["pixels"]
    max_value = options.max_value or MAX_PIXEL
    check_images(images, _flat(pixels, max_value))
    return True


def read_instances(body: bytes) -> bool:
    """Read a body of `POST /invocations`, with the forms that the v1 protocol has, too."""
    images = unless_refused(lambda: decode_json(served_model().images, body))
    if images is None:
        return False
    document = json.loads(body)
    if "instances" in document:
        value = document["instances"]
        if isinstance(value[0], dict):
            value = [instance["images"] for instance in value]
    elif "inputs" in document:
        value = document["inputs"]
        if isinstance(value, dict):
            value = value["images"]
    else:
        value = document["dataframe_split"]["data"]
    check_images(images, _flat(value))
    return True


def read_csv(body: bytes) -> bool:
    """Read a body of `POST /invocations` of type text/csv."""
    images = unless_refused(lambda: decode_csv(served_model().images, body))
    if images is None:
        return False
    lines = body.rstrip().split(b"\n")
    assert len(lines) - len(images) in (0, 1)  # the names
    check_images(images, [[*map(float, line.split(b","))] for line in lines[-len(images) :]])
    return True


def _flat(value: Any, max_value: int = 1) -> list[float]:
    """Give the numbers of nested arrays, in order."""
    if isinstance(value, list):
        return [number for element in value for number in _flat(element, max_value)]
    assert type(value) in (int, float), value
    return [value / max_value]

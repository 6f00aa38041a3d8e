"""Requests of the Open Inference Protocol, with the numbers in the JSON or in bytes after it."""

import json
from typing import Any

import numpy as np

from service.protocols.open_inference_codec import InferRequest, read_request
from tests.fuzz.published import served_model
from tests.fuzz.targets.expectations import check_images, unless_refused

_DTYPES = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "UINT8": "u1"}


def read_infer_request(data: bytes) -> bool:
    """Read a header, `Inference-Header-Content-Length` or an empty line, and a body after it."""
    line, _, body = data.partition(b"\n")
    header = line.decode("latin-1") or None

    def read() -> InferRequest:
        return read_request(served_model(), header, body)

    request = unless_refused(read)
    if request is None:
        return False
    json_size = len(body) if header is None else int(header)
    tensor = json.loads(body[:json_size])["inputs"][0]
    levels = _numbers(tensor, body[json_size:])
    check_images(request.images, levels / (255 if tensor["datatype"] == "UINT8" else 1))
    return True


def _numbers(tensor: dict[str, Any], binary: bytes) -> Any:
    if tensor.get("data") is None:
        return np.frombuffer(binary, _DTYPES[tensor["datatype"]]).astype(float)
    assert not binary
    data = np.array(tensor["data"], float)
    assert data.size == np.prod(tensor["shape"])
    return data

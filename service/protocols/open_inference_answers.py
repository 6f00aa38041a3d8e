"""The answers of the Open Inference Protocol: tensors in JSON, or in binary after it."""

from typing import Any

import numpy as np
import orjson
from flask import Response

from nncore.types import Array
from service.protocols.open_inference_requests import (
    PROBABILITIES,
    InferRequest,
    RequestedOutput,
)
from service.serving import ServedModel


def encode_answer(model: ServedModel, request: InferRequest, probabilities: Array) -> Response:
    """Write the answer to a request.

    Args:
        model: The one that gave the answer.
        request: What was asked for.
        probabilities: float32 `(batch, classes)`.

    Returns:
        JSON, and after it the data of those outputs that are asked for in binary; a number in
        JSON has the fewest digits that give the same float32 again.
    """
    rows = np.ascontiguousarray(probabilities, "<f4")
    document: dict[str, Any] = {"model_name": model.name, "model_version": str(model.version)}
    if request.id is not None:
        document["id"] = request.id
    tensors = [_encode_output(output, rows, model) for output in request.outputs]
    document["outputs"] = [tensor for tensor, _ in tensors]
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(output.binary for output in request.outputs):
        return Response(head, mimetype="application/json")
    return Response(
        b"".join([head, *(binary for _, binary in tensors)]),
        headers={"Inference-Header-Content-Length": str(len(head))},
        mimetype="application/octet-stream",
    )


def _encode_output(
    output: RequestedOutput, rows: Array, model: ServedModel
) -> tuple[dict[str, Any], bytes]:
    """Give an output's description, and its binary data where that is not in it."""
    data: Array | list[bytes]
    tensor: dict[str, Any] = {"name": output.name}
    if output.classes:
        data = _classify(rows, output.classes, model)
        tensor |= {"datatype": "BYTES", "shape": [len(rows), len(data) // len(rows)]}
    elif output.name == PROBABILITIES:
        data = rows.ravel()
        tensor |= {"datatype": "FP32", "shape": list(rows.shape)}
    else:
        data = rows.argmax(axis=1).astype("<i8", copy=False)
        tensor |= {"datatype": "INT64", "shape": [len(rows)]}
    if not output.binary:
        tensor["data"] = [text.decode() for text in data] if isinstance(data, list) else data
        return tensor, b""
    binary = _join_texts(data) if isinstance(data, list) else data.tobytes()
    tensor["parameters"] = {"binary_data_size": len(binary)}
    return tensor, binary


def _classify(rows: Array, classes: int, model: ServedModel) -> list[bytes]:
    """Give the most likely classes of each row as `probability:index:label`, likeliest first."""
    order = np.argsort(-rows, axis=1, kind="stable")[:, :classes]
    best = np.take_along_axis(rows, order, axis=1).ravel()
    # Its shortest digits are those of the other outputs.
    numbers = orjson.dumps(best, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    names = [f":{index}:{label}".encode() for index, label in enumerate(model.labels)]
    return [
        number + names[index] for number, index in zip(numbers, order.ravel().tolist(), strict=True)
    ]


def _join_texts(texts: list[bytes]) -> bytes:
    """Write a BYTES tensor: each text after its length in four bytes."""
    return b"".join([part for text in texts for part in (len(text).to_bytes(4, "little"), text)])

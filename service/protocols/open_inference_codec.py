"""Requests and responses of inference in the Open Inference Protocol, version 2."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from flask import Response
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore import MAX_PIXEL
from nncore.types import Array
from service.errors import invalid
from service.inference import json_response
from service.inputs.json_document import quoted, read_members, read_numbers
from service.inputs.pixels import PixelReader, scale_levels
from service.models.loaded_model import LoadedModel
from service.protocols.foreign import INPUT, PROBABILITIES

JSON_SIZE_HEADER = "Inference-Header-Content-Length"
LABEL = "label"
_OUTPUTS = (PROBABILITIES, LABEL)
_FLAGS = ("binary_data", "binary_data_output")
_PARAMETERS = (*_FLAGS, "binary_data_size", "classification", "shared_memory_region")

# Of a datatype: how binary data stores a number, and the largest value of a pixel.
_DATATYPES: Mapping[Any, tuple[np.dtype[Any], int]] = {
    "FP32": (np.dtype("<f4"), 1),
    "FP64": (np.dtype("<f8"), 1),
    "FP16": (np.dtype("<f2"), 1),
    "UINT8": (np.dtype("u1"), MAX_PIXEL),
}


class RequestedOutput(NamedTuple):
    """An output that the response must have."""

    name: str
    binary: bool  # whether its data follows the JSON instead of being part of it
    classes: int = 0  # how many of the most probable classes to list as text; 0 for all numbers


class InferRequest(NamedTuple):
    """A decoded request."""

    id: str | None  # the client's own, repeated in the response
    outputs: Sequence[RequestedOutput]
    images: Array  # float32 (batch, pixels) in [0, 1]


def read_request(model: LoadedModel, json_size: str | None, body: bytes) -> InferRequest:
    """Return the decoded request.

    Args:
        model: The model that answers.
        json_size: The value of `JSON_SIZE_HEADER`: how many bytes of the body are JSON.
        body: JSON and, after it, binary data.
    """
    size = len(body)
    if json_size is not None:
        digits = json_size.isascii() and json_size.isdecimal() and len(json_size) < 20
        size = int(json_size) if digits else -1
        if not 0 <= size <= len(body):
            expected = f"at most the body's {len(body)} bytes in {JSON_SIZE_HEADER}"
            raise invalid(expected, quoted(json_size))
    binary = memoryview(body)[size:]

    def read(document: JsonObject, brackets: int) -> InferRequest:
        members = read_members(document, ("id", "parameters", "inputs", "outputs"), "the request")
        request_id = members.get("id")
        if not isinstance(request_id, str | None):
            raise invalid("id to be a string", quoted(request_id))
        binary_output = _read_parameters(members, "the request").get("binary_data_output", False)
        outputs = _read_outputs(members.get("outputs"), binary=binary_output)
        inputs = members.get("inputs")
        if not isinstance(inputs, JsonArray) or len(inputs) != 1:
            raise invalid("inputs to be an array of 1", quoted(inputs))
        # The arrays of the inputs, the shape and the outputs do not belong to the data.
        others = 2 + isinstance(members.get("outputs"), JsonArray)
        images = _read_images(inputs[0], binary, model.images, brackets - others)
        return InferRequest(request_id, outputs, images)

    return model.images.read_json(body[:size], read)


def encode_response(model: LoadedModel, request: InferRequest, probabilities: Array) -> Response:
    """Return the response: JSON, and after it the data of the outputs requested in binary."""
    rows = probabilities.astype("<f4", copy=False)
    document: dict[str, Any] = {"model_name": model.name, "model_version": str(model.version)}
    if request.id is not None:
        document["id"] = request.id
    tensors, pieces = [], []
    for output in request.outputs:
        tensor, data = _encode_output(output, rows, model.labels)
        if output.binary:
            pieces.append(data.tobytes() if isinstance(data, np.ndarray) else _join_texts(data))
            tensor["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            tensor["data"] = data
        tensors.append(tensor)
    document["outputs"] = tensors
    response = json_response(document)
    if pieces:
        head = response.get_data()
        response.set_data(b"".join([head, *pieces]))
        response.content_type = "application/octet-stream"
        response.headers[JSON_SIZE_HEADER] = str(len(head))
    return response


def _read_images(value: Any, binary: memoryview, images: PixelReader, brackets: int) -> Array:
    where = f"input {INPUT}"
    tensor = read_members(value, ("name", "datatype", "shape", "data", "parameters"), where)
    if (name := tensor.get("name")) != INPUT:
        raise invalid(f"an input of name {INPUT}", quoted(name))
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in _DATATYPES:
        remedy = f"send pixels / {MAX_PIXEL} as FP32, or pixels from 0 to {MAX_PIXEL} as UINT8"
        expected = f"datatype {', '.join(_DATATYPES)} of {where}"
        raise invalid(expected, f"{quoted(datatype)}: {remedy}")
    dtype, max_value = _DATATYPES[datatype]
    shape = _read_shape(tensor.get("shape"), images)
    data = tensor.get("data")
    size = _read_parameters(tensor, where).get("binary_data_size")
    if (size is None) == (data is None):
        got = "neither" if data is None else "both"
        raise invalid(f"data or binary_data_size in {where}", got)
    if size is not None:
        numbers = _read_binary(binary, size, shape, dtype)
    elif len(binary):
        raise invalid("nothing after the JSON", f"{len(binary)} bytes")
    else:
        nested = isinstance(data, JsonArray) and len(data) and isinstance(data[0], JsonArray)
        numbers = read_numbers([data], shape if nested else [math.prod(shape)], brackets, "data")
    return scale_levels(numbers.reshape(shape[0], -1), max_value)


def _read_shape(value: Any, images: PixelReader) -> list[int]:
    got = quoted(value)
    if isinstance(value, JsonArray) and len(value) <= 1 + len(images.image_shapes[0]):
        shape: list[Any] = list(value)
        if tuple(shape[1:]) in images.image_shapes and isinstance(shape[0], int) and shape[0] >= 0:
            images.check_batch(shape[0])
            return shape
        got = f"[{', '.join(map(quoted, shape))}]"
    expected = " or ".join(f"[N, {', '.join(map(str, shape))}]" for shape in images.image_shapes)
    raise invalid(f"shape {expected} of input {INPUT}", got)


def _read_binary(data: memoryview, size: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    expected = math.prod(shape) * dtype.itemsize
    if not size == expected == len(data):
        got = f"a binary_data_size of {quoted(size)} and {len(data)} bytes after the JSON"
        raise invalid(f"{expected} bytes of binary data for the shape {shape}", got)
    numbers: Array = np.frombuffer(data, dtype)
    # The JSON before it has any length, and numpy is many times slower on what is not aligned.
    return numbers if numbers.flags.aligned else numbers.copy()


def _read_outputs(value: Any, *, binary: bool) -> list[RequestedOutput]:
    if value is None or (isinstance(value, JsonArray) and len(value) == 0):
        return [RequestedOutput(name, binary) for name in _OUTPUTS]
    if not isinstance(value, JsonArray) or len(value) > len(_OUTPUTS):
        raise invalid("outputs to be an array of 1 or 2", quoted(value))
    return [_read_output(element, binary=binary) for element in value]


def _read_output(value: Any, *, binary: bool) -> RequestedOutput:
    output = read_members(value, ("name", "parameters"), "an output")
    name = output.get("name")
    if name not in _OUTPUTS:
        raise invalid(f"output {' or '.join(_OUTPUTS)}", quoted(name))
    parameters = _read_parameters(output, f"output {name}")
    binary = parameters.get("binary_data", binary)
    classes = parameters.get("classification")
    if classes is None:
        return RequestedOutput(name, binary)
    if name != PROBABILITIES or type(classes) is not int or classes < 1:
        expected = f"classification of {PROBABILITIES}, a number of classes"
        raise invalid(expected, f"{quoted(classes)} of {name}")
    return RequestedOutput(name, binary, classes)


def _read_parameters(holder: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the known parameters of an object that are not null."""
    if holder.get("parameters") is None:
        return {}
    parameters = read_members(holder["parameters"], _PARAMETERS, f"the parameters of {where}")
    parameters = {name: value for name, value in parameters.items() if value is not None}
    if "shared_memory_region" in parameters:
        raise invalid(f"{where} in the body", "a shared memory region")
    for name in _FLAGS:
        if not isinstance(value := parameters.get(name, False), bool):
            raise invalid(f"{name} to be true or false", quoted(value))
    return parameters


def _encode_output(
    output: RequestedOutput, rows: Array, labels: Sequence[int | str]
) -> tuple[dict[str, Any], Array | list[str]]:
    """Return an output's description, and its data in the order that the description says."""
    data: Array | list[str]
    if output.classes:
        data = _classify(rows, output.classes, labels)
        datatype, shape = "BYTES", [len(rows), len(data) // len(rows)]
    elif output.name == PROBABILITIES:
        data = rows.ravel()
        datatype, shape = "FP32", list(rows.shape)
    else:
        data = rows.argmax(axis=1).astype("<i8", copy=False)
        datatype, shape = "INT64", [len(rows)]
    return {"name": output.name, "datatype": datatype, "shape": shape}, data


def _classify(rows: Array, classes: int, labels: Sequence[int | str]) -> list[str]:
    """Return the most probable classes of each row as `probability:index:label`, in order."""
    order = np.argsort(-rows, axis=1, kind="stable")[:, :classes]
    best = np.take_along_axis(rows, order, axis=1).ravel()
    # The digits are those of the other outputs.
    numbers = orjson.dumps(best, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    return [
        f"{number}:{index}:{labels[index]}"
        for number, index in zip(numbers, order.ravel().tolist(), strict=True)
    ]


def _join_texts(texts: Sequence[str]) -> bytes:
    """Return a BYTES tensor: each text after its length in four bytes."""
    encoded = [text.encode() for text in texts]
    return b"".join([len(text).to_bytes(4, "little") + text for text in encoded])

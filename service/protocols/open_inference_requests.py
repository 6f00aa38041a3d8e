"""What a request of the Open Inference Protocol asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore.types import Array
from service.errors import RequestError
from service.json_body import quoted, read_json
from service.protocols.open_inference_tensors import INPUT, Body, read_images
from service.serving import ServedModel

PROBABILITIES = "probabilities"
LABEL = "label"
_OUTPUTS = (PROBABILITIES, LABEL)

_MOST_MEMBERS = 1000
# The members that mean something, in whichever object.
_KNOWN = {
    *("id", "inputs", "outputs", "parameters", "name", "shape", "datatype", "data"),
    *("binary_data", "binary_data_size", "binary_data_output", "classification"),
    "shared_memory_region",
}


class RequestedOutput(NamedTuple):
    """An output that the answer must hold.

    Attributes:
        name: Of the tensor.
        binary: Whether its data comes after the answer's JSON instead of in it.
        classes: Where not 0, the most likely classes come in words, as many as this.
    """

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request.

    Attributes:
        id: The client's own, to be repeated.
        outputs: What the answer must hold.
        images: The network's own input, float32 `(batch, pixels)` in [0, 1].
    """

    id: str | None
    outputs: Sequence[RequestedOutput]
    images: Array


def read_json_size(header: str | None) -> int | None:
    """Read `Inference-Header-Content-Length`, how many bytes of the body are JSON.

    Raises:
        RequestError: It is no number (400).
    """
    if header is None:
        return None
    if not (header.isascii() and header.isdecimal() and len(header) < 20):
        raise RequestError(
            400, f"expected Inference-Header-Content-Length to be a number, got {quoted(header)}"
        )
    return int(header)


def read_request(model: ServedModel, json_size: int | None, body: bytes) -> InferRequest:
    """Read a request.

    Args:
        model: The one that is asked.
        json_size: How many bytes of the body are JSON; all when None.
        body: JSON and, after it, binary data.

    Raises:
        RequestError: It is malformed (400 or 422).
    """
    text = body if json_size is None else body[:json_size]
    if json_size is not None and json_size > len(body):
        raise RequestError(
            400,
            "expected Inference-Header-Content-Length to be at most the body's "
            f"{len(body)} bytes, got {json_size}",
        )
    return read_json(text, partial(_read, model, memoryview(body)[len(text) :], text))


def _read(
    model: ServedModel, binary: memoryview, text: bytes, document: JsonObject
) -> InferRequest:
    _check_members(document, "the request")
    request_id = document.get("id")
    if not isinstance(request_id, str | None):
        raise RequestError(400, f"expected id to be a string, got {quoted(request_id)}")
    parameters = _read_parameters(document, "the request")
    binary_by_default = _read_flag(parameters, "binary_data_output", default=False)
    outputs = _read_outputs(document.get("outputs"), binary_by_default)

    inputs = document.get("inputs")
    if not isinstance(inputs, JsonArray) or len(inputs) != 1:
        raise RequestError(400, f"expected inputs to be an array of 1, got {quoted(inputs)}")
    tensor = _read_object(inputs[0], "the input")
    if (name := tensor.get("name")) != INPUT:
        raise RequestError(400, f"expected an input of name {INPUT}, got {quoted(name)}")
    binary_size = _read_binary_size(tensor)
    # The inputs and the shape, and the outputs where there are some.
    other_arrays = 2 + isinstance(document.get("outputs"), JsonArray)
    images = read_images(tensor, binary_size, Body(text, binary, other_arrays), model)
    return InferRequest(request_id, outputs, images)


def _read_binary_size(tensor: JsonObject) -> int | None:
    where = f"input {INPUT}"
    parameters = _read_parameters(tensor, where)
    _check_no_shared_memory(parameters, where)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RequestError(
            400, f"expected binary_data_size to be a number of bytes, got {quoted(size)}"
        )
    if tensor.get("data") is not None:
        raise RequestError(400, f"expected data or binary_data_size in {where}, got both")
    return size


def _read_outputs(value: Any, binary_by_default: bool) -> list[RequestedOutput]:
    if value is None or (isinstance(value, JsonArray) and len(value) == 0):
        return [RequestedOutput(name, binary_by_default) for name in _OUTPUTS]
    if not isinstance(value, JsonArray) or len(value) > len(_OUTPUTS):
        raise RequestError(
            400,
            f"expected outputs to be an array of at most {len(_OUTPUTS)}, got {quoted(value)}",
        )
    outputs = [_read_output(element, binary_by_default) for element in value]
    if len({output.name for output in outputs}) < len(outputs):
        raise RequestError(400, f"expected each output once, got {outputs[0].name} twice")
    return outputs


def _read_output(value: Any, binary_by_default: bool) -> RequestedOutput:
    output = _read_object(value, "an output")
    name = output.get("name")
    if name not in _OUTPUTS:
        raise RequestError(400, f"expected output {' or '.join(_OUTPUTS)}, got {quoted(name)}")
    parameters = _read_parameters(output, f"output {name}")
    _check_no_shared_memory(parameters, f"output {name}")
    binary = _read_flag(parameters, "binary_data", default=binary_by_default)
    classes = parameters.get("classification")
    if classes is None:
        return RequestedOutput(name, binary)
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise RequestError(
            400, f"expected classification to be how many classes, got {quoted(classes)}"
        )
    if name != PROBABILITIES:
        raise RequestError(400, f"expected classification of {PROBABILITIES}, got it of {name}")
    return RequestedOutput(name, binary, classes)


def _read_flag(parameters: JsonObject | dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name)
    if not isinstance(value, bool | None):
        raise RequestError(400, f"expected {name} to be true or false, got {quoted(value)}")
    return default if value is None else value


def _check_no_shared_memory(parameters: JsonObject | dict[str, Any], where: str) -> None:
    if parameters.get("shared_memory_region") is not None:
        raise RequestError(
            400, f"expected the data of {where} in the body, got a shared memory region"
        )


def _read_parameters(holder: JsonObject, where: str) -> JsonObject | dict[str, Any]:
    """Give an object's parameters, empty where there are none."""
    parameters = holder.get("parameters")
    return {} if parameters is None else _read_object(parameters, f"the parameters of {where}")


def _read_object(value: Any, what: str) -> JsonObject:
    if not isinstance(value, JsonObject):
        raise RequestError(400, f"expected {what} to be an object, got {quoted(value)}")
    _check_members(value, what)
    return value


def _check_members(value: JsonObject, what: str) -> None:
    """Check that an object has no member twice that means something."""
    if len(value) > _MOST_MEMBERS:
        raise RequestError(
            400, f"expected at most {_MOST_MEMBERS} members in {what}, got {len(value)}"
        )
    known = [name for name in value if name in _KNOWN]
    if len(known) > len(set(known)):
        twice = next(name for name in known if known.count(name) > 1)
        raise RequestError(400, f"expected {twice} once in {what}, got it twice")

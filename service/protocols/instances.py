"""Images in `instances` or `inputs`, as TensorFlow Serving, KServe v1 and MLflow take them."""

from collections.abc import Callable, Sequence
from typing import Any

from simdjson import Array as JsonArray
from simdjson import Object as JsonObject

from nncore.types import Array
from service.errors import RequestError
from service.image_arrays import ImageReader
from service.json_body import check_members, quoted, read_json

# What the one input of every model is called, where a client names it.
INPUT = "images"
FORMS = ("instances", "inputs")

_MOST_MEMBERS = 100


def read_document(body: bytes, read: Callable[[JsonObject], Array]) -> Array:
    """Parse a body for clients that know no status but 400 for what they got wrong.

    Args:
        body: JSON, an object.
        read: As for `read_json`.

    Returns:
        What `read` does.

    Raises:
        RequestError: The body is no JSON object, or what `read` raises; 400 instead of 422.
    """
    try:
        return read_json(body, read)
    except RequestError as error:
        status = 400 if error.status == 422 else error.status
        raise RequestError(status, error.detail, error.headers) from None


def choose_form(document: JsonObject, forms: Sequence[str]) -> str:
    """Find the member that holds the images; members that are none of the forms are tolerated.

    Args:
        document: The request.
        forms: The names that it may have.

    Returns:
        One of the forms.

    Raises:
        RequestError: There is none of them, or more than one, or far too many members (422).
    """
    if len(document) > _MOST_MEMBERS:
        raise RequestError(422, f"expected at most {_MOST_MEMBERS} members, got {len(document)}")
    present = [name for name in document if name in forms]
    if len(present) != 1:
        got = " and ".join(f'"{name}"' for name in present) or "none of them"
        expected = " and ".join(f'"{name}"' for name in forms)
        raise RequestError(422, f"expected exactly one of {expected}, got {got}")
    return present[0]


def read_images(images: ImageReader, document: JsonObject, form: str, arrays: int) -> Array:
    """Read the images of a form; they, or each of them, may be in an object that names the input.

    Args:
        images: Reads images of the model's shape.
        document: The request.
        form: One of `FORMS`.
        arrays: How many opening brackets of the body may belong to the images.

    Returns:
        The network's own input, float32 `(batch, pixels)` in [0, 1].

    Raises:
        RequestError: These are no such images (422).
    """
    value: Any = document[form]
    if form == "inputs" and isinstance(value, JsonObject):
        return images.read(_named(value), 1, arrays, INPUT, batched=True)
    if form == "instances" and _holds_objects(value):
        images.check_batch(len(value))
        # The array around the objects belongs to no image.
        return images.read_apart(list(map(_named, value)), 1, arrays - 1, INPUT)
    return images.read(value, 1, arrays, form, batched=True)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, JsonArray) and len(value) > 0 and isinstance(value[0], JsonObject)


def _named(tensors: Any) -> Any:
    """Give what an object names."""
    if not isinstance(tensors, JsonObject):
        raise RequestError(422, f'expected objects with "{INPUT}", got {quoted(tensors)}')
    check_members(tensors, (INPUT,), INPUT)
    return tensors[INPUT]

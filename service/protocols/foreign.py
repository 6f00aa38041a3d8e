"""The parts that the protocols of other servers share."""

from collections.abc import Collection
from typing import Any

from flask.blueprints import BlueprintSetupState
from simdjson import Array as JsonArray
from simdjson import Object as JsonObject
from werkzeug.routing import BaseConverter

from nncore.types import Array
from service.errors import invalid
from service.inputs.json_document import read_members
from service.inputs.pixels import PixelReader

# The names of every model's one input and of its probabilities.
INPUT, PROBABILITIES = "images", "probabilities"
FORMS = ("instances", "inputs")


class _ModelConverter(BaseConverter):
    regex = "[^/:]+"  # without the verb in `<model:name>:predict`


class _VersionConverter(BaseConverter):
    regex = "[1-9][0-9]{0,17}"  # Flask's own `int` accepts 01, and fails at 5000 digits

    def to_python(self, value: str) -> int:
        return int(value)


def add_converters(state: BlueprintSetupState) -> None:
    """Add the converters `<model:...>` and `<version:...>` for the paths of a blueprint."""
    state.app.url_map.converters |= {"model": _ModelConverter, "version": _VersionConverter}


def read_form(document: JsonObject, forms: Collection[str]) -> tuple[str, Any]:
    """Return which of the forms a request has, and its value; it has exactly one of them."""
    members = read_members(document, forms, "the request")
    if len(members) != 1:
        raise invalid(f"exactly one of {', '.join(forms)}", " and ".join(members) or "none of them")
    return next(iter(members.items()))


def read_images(images: PixelReader, form: str, value: Any, brackets: int) -> Array:
    """Return the images of one of `FORMS`, float32 `(batch, pixels)` in [0, 1].

    Args:
        images: Reads arrays of the model's image shape.
        form: The form.
        value: An array of images, which, or each of which, may be in an object with the input name.
        brackets: As for `PixelReader.read`.
    """
    if form == "inputs" and isinstance(value, JsonObject):
        value = _unwrap(value, form)
    elif form == "instances" and _holds_objects(value):
        value = [_unwrap(instance, f"instances[{i}]") for i, instance in enumerate(value)]
        brackets -= 1
    return images.read(value, 1, brackets, form, batch_only=True)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, JsonArray) and len(value) > 0 and isinstance(value[0], JsonObject)


def _unwrap(value: Any, where: str) -> Any:
    return read_members(value, (INPUT,), where, strict=True).get(INPUT)

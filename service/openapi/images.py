"""JSON Schemas of images and of what a model says of them."""

from collections.abc import Sequence

from nncore import MAX_PIXEL
from service.openapi.parts import Json, closed
from service.openapi.subject import Subject

PROBABILITY: Json = {"type": "number", "minimum": 0, "maximum": 1}
UNIT_BATCH: Json = {"$ref": "#/components/schemas/UnitBatch"}
# 0 to 255 is the default; an image of nothing but 0 to 1 was meant for the other range.
_OVER_ONE: Json = {"type": "number", "exclusiveMinimum": 1}
_BLANK: Json = {"const": 0}


def image_schemas(subject: Subject) -> Json:
    """Make the components: `GreyImages` of levels 0 to 255, the others of values 0 to 1."""
    grey, unit = images_of(subject, MAX_PIXEL), images_of(subject, 1)
    batches = {
        white: [array(image, 1, subject.max_batch) for image in images_of(subject, white)]
        for white in (MAX_PIXEL, 1)
    }
    return {
        "GreyImages": {"anyOf": [*grey, *batches[MAX_PIXEL]]},
        "UnitImages": {"anyOf": [*unit, *batches[1]]},
        "UnitBatch": {"anyOf": batches[1]},
    }


def instance_forms(subject: Subject, properties: Json, forms: Sequence[str]) -> list[Json]:
    """Make the schemas of requests with `instances` or `inputs`.

    Args:
        subject: Whose images they are.
        properties: Members that a request may have beside them.
        forms: Of which a request has exactly one.
    """
    named = [closed({"images": image}) for image in images_of(subject, 1)]
    apart = [array(instance, 1, subject.max_batch) for instance in named]
    return [
        one_form("instances", {"anyOf": [UNIT_BATCH, *apart]}, properties, forms),
        one_form(
            "inputs", {"anyOf": [UNIT_BATCH, closed({"images": UNIT_BATCH})]}, properties, forms
        ),
    ]


def one_form(name: str, images: Json, properties: Json, forms: Sequence[str]) -> Json:
    """Make the schema of a request with one of the forms and none of the others."""
    others = [{"required": [other]} for other in forms if other != name]
    return {
        "type": "object",
        "properties": {name: images} | properties,
        "required": [name],
        "not": {"anyOf": others},
    }


def probabilities_schema(subject: Subject) -> Json:
    """Make the schema of an image's probabilities."""
    return array(PROBABILITY, len(subject.labels))


def label_schema(subject: Subject) -> Json:
    """Make the schema of a label."""
    return {"enum": list(subject.labels)}


def array(items: Json, least: int, most: int | None = None) -> Json:
    """Make the schema of an array of a length, or of one between two."""
    return {
        "type": "array",
        "items": items,
        "minItems": least,
        "maxItems": least if most is None else most,
    }


def array_of(items: Json) -> Json:
    """Make the schema of an array of any length."""
    return {"type": "array", "items": items}


def nested(shape: Sequence[int], items: Json) -> Json:
    """Make the schema of arrays nested as a shape."""
    for size in reversed(shape):
        items = array(items, size)
    return items


def images_of(subject: Subject, white: int) -> list[Json]:
    """Make the schemas of one image: as an array of its numbers, and nested as its shape."""
    number: Json = {"type": "number", "minimum": 0, "maximum": white}
    shapes = dict.fromkeys([(subject.image_size,), subject.input_shape])
    images = []
    for shape in shapes:
        image = nested(shape, number)
        if white == MAX_PIXEL:
            blank, inked = _BLANK, _OVER_ONE
            for _ in shape:
                blank, inked = {"items": blank}, {"contains": inked}
            image["anyOf"] = [blank, inked]
        images.append(image)
    return images


def prediction_schema(subject: Subject) -> Json:
    """Make the schema of what `/predict` says of an image."""
    likely = closed({"label": label_schema(subject), "probability": PROBABILITY})
    return closed(
        {
            "label": label_schema(subject),
            "confidence": PROBABILITY,
            "probabilities": probabilities_schema(subject),
            "top_k": array(likely, 1, len(subject.labels)),
            "pixels": array(
                {"type": "integer", "minimum": 0, "maximum": MAX_PIXEL}, subject.image_size
            ),
            "attributions": array({"type": "number"}, subject.image_size),
        },
        optional=["top_k", "pixels", "attributions"],
    )

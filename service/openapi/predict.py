"""The operation of `service.protocols.predict`: the service's own protocol."""

from collections.abc import Mapping
from typing import Any

from nncore import MAX_PIXEL
from service.image_files import IMAGE_TYPES
from service.openapi.errors import errors
from service.openapi.images import prediction_schema
from service.openapi.parts import (
    BYTES,
    Json,
    answers,
    closed,
    content_of,
    external,
    operation,
)
from service.openapi.subject import Subject

_DESCRIPTION = """\
The model that answers by default classifies each image, and the answer says which version it \
was. The `Content-Type` says in what form the images come.

In JSON, `pixels` is one image or an array of images, each flat or nested as its shape, from 0 \
(paper) to 255 (ink); for numbers from 0 to 1 say so: `"range": [0, 1]`. As bytes \
(`application/octet-stream`) an image is a byte a pixel, image after image. An array of NumPy \
(`application/x-npy`) is one image or a batch. The range of those two stands in the query.

A picture (`image/png`, `image/jpeg`, `image/webp`, `image/bmp`) may be of any size and colour, \
light on dark or dark on light: the ink is found and brought to the form that the model was \
trained on. `multipart/form-data` has one or more of them, under any names, each with a filename.

With `top_k`, each prediction also lists so many of the likeliest labels: a member of the JSON, a \
field of the form, or in the query; in one of these places. With `include` in the query, each \
also tells the `pixels` that the network saw, from 0 to 255, or the `attributions`, how much each \
pixel speaks for the label (above 0) or against it: the pixel times the gradient of the label's \
logit less the mean of all logits."""

_SUMMARIES = {"image": "From 0 to 255, nested.", "unit": "From 0 to 1, flat."}


def predict_paths(subject: Subject) -> Json:
    """Describe the path."""
    responses = answers(
        "One prediction an image, in the request's order.",
        closed(
            {
                "model": {"type": "string"},
                "version": {"type": "integer", "minimum": 1},
                "predictions": {
                    "type": "array",
                    "items": prediction_schema(subject),
                    "minItems": 1,
                    "maxItems": subject.max_batch,
                },
            }
        ),
        {
            "model": subject.model,
            "version": subject.version,
            "predictions": [
                {
                    "label": subject.labels[subject.winner],
                    "confidence": subject.probabilities[subject.winner],
                    "probabilities": subject.probabilities,
                }
            ],
        },
    )
    return {
        "/predict": {
            "post": operation(
                "predict",
                "Classify images",
                _DESCRIPTION,
                responses | errors("Problem", 400, 413, 415, 422, 503),
                parameters=_parameters(subject),
                body=_bodies(subject),
            )
        }
    }


def _parameters(subject: Subject) -> list[Json]:
    return [
        {
            "name": "top_k",
            "in": "query",
            "description": "How many of the likeliest labels to list.",
            "schema": _top_k(subject),
        },
        {
            "name": "range",
            "in": "query",
            "description": "Of bytes and arrays: what no ink and full ink are, `0,255` unless it "
            "is said to be `0,1`.",
            "schema": {"enum": [f"0,{MAX_PIXEL}", "0,1"]},
        },
        {
            "name": "include",
            "in": "query",
            "description": "What else to tell of each image.",
            "schema": {
                "enum": [
                    "pixels",
                    "attributions",
                    "pixels,attributions",
                    "attributions,pixels",
                ]
            },
        },
    ]


def _bodies(subject: Subject) -> Mapping[str, Json]:
    bodies = {
        "application/json": content_of(_request(subject), _json_examples(subject), _SUMMARIES),
        "application/octet-stream": _binary("image.bin", "A byte a pixel."),
        "application/x-npy": _binary("image.npy", "An array of NumPy's."),
    }
    if len(subject.input_shape) != 2:
        return bodies
    for content_type in IMAGE_TYPES:
        name = content_type.removeprefix("image/")
        bodies[content_type] = _binary(f"drawing.{name}", f"A picture, `{content_type}`.")
    files = {"type": "array", "items": BYTES, "minItems": 1, "maxItems": subject.max_batch}
    bodies["multipart/form-data"] = {
        "schema": closed({"image": files, "top_k": _top_k(subject)}, optional=["top_k"]),
        "encoding": {"image": {"contentType": ", ".join(IMAGE_TYPES)}},
        "x-example-files": {"image": external("drawing.png", "Pictures in a form.")},
    }
    return bodies


def _binary(file: str, summary: str) -> Json:
    return {"schema": BYTES, "examples": {"image": external(file, summary)}}


def _request(subject: Subject) -> Json:
    grey = {"$ref": "#/components/schemas/GreyImages"}
    unit = {"$ref": "#/components/schemas/UnitImages"}
    top_k = _top_k(subject)
    return {
        "anyOf": [
            closed(
                {"pixels": grey, "range": {"const": [0, MAX_PIXEL]}, "top_k": top_k},
                optional=["range", "top_k"],
            ),
            closed({"pixels": unit, "range": {"const": [0, 1]}, "top_k": top_k}, ["top_k"]),
        ]
    }


def _top_k(subject: Subject) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": len(subject.labels)}


def _json_examples(subject: Subject) -> dict[str, Any]:
    return {
        "image": {"pixels": subject.levels.tolist()},
        "unit": {"pixels": subject.values, "range": [0, 1]},
    }

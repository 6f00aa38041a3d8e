"""The bodies of the examples as files, to be sent as they are."""

import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import orjson
from PIL import Image

from service.image_files import IMAGE_TYPES
from service.openapi.open_inference_infer import binary_body
from service.openapi.parts import Json
from service.openapi.subject import Subject

# As someone would draw it: larger, and dark ink on light paper.
_TEXTS = ("text/csv",)
_ENLARGEMENT = 8


class ExampleFile(NamedTuple):
    """A body.

    Attributes:
        content_type: What it is.
        body: Its bytes.
    """

    content_type: str
    body: bytes


def example_files(document: Json, subject: Subject) -> Mapping[str, ExampleFile]:
    """Give every request example of a document as a file, by name."""
    files = _binary_files(subject)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "requestBody" not in operation:
                continue
            for content_type, media in operation["requestBody"]["content"].items():
                for name, example in media.get("examples", {}).items():
                    if "value" in example:
                        value = example["value"]
                        body = value.encode() if content_type in _TEXTS else orjson.dumps(value)
                        file = file_name(operation["operationId"], name, content_type)
                        files[file] = ExampleFile(content_type, body)
    return files


def file_name(operation: str, example: str, content_type: str) -> str:
    """Name the file of an operation's example."""
    return f"{operation}.{example}.{content_type.partition('/')[2]}"


def _binary_files(subject: Subject) -> dict[str, ExampleFile]:
    levels = np.ascontiguousarray(subject.levels)
    array = io.BytesIO()
    np.save(array, levels)
    files = {
        "image.bin": ExampleFile("application/octet-stream", levels.tobytes()),
        "infer.bin": ExampleFile("application/octet-stream", binary_body(subject)),
        "image.npy": ExampleFile("application/x-npy", array.getvalue()),
    }
    if levels.ndim == 2:
        drawing = Image.fromarray(~levels)
        drawing = drawing.resize(
            (drawing.width * _ENLARGEMENT, drawing.height * _ENLARGEMENT), Image.Resampling.BICUBIC
        )
        for content_type in IMAGE_TYPES:
            format_ = content_type.removeprefix("image/")
            picture = io.BytesIO()
            drawing.save(picture, format_)
            files[f"drawing.{format_}"] = ExampleFile(content_type, picture.getvalue())
    return files

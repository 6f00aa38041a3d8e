"""The operations of `service.protocols.mlflow`: MLflow's scoring protocol, and SageMaker's."""

from service.openapi.errors import errors
from service.openapi.images import PROBABILITY, UNIT_BATCH, array, instance_forms, one_form
from service.openapi.parts import (
    MODEL_VERSION_HEADER,
    TEXT,
    Json,
    answers,
    answers_with,
    closed,
    content_of,
    operation,
)
from service.openapi.subject import Subject
from service.version import VERSION

_INVOKE = """\
Images are the network's own values, pixels / 255. In JSON they are one of `instances`, `inputs` \
and `dataframe_split`, whose `columns` and `index`, if there are any, name every pixel and every \
image. In CSV a line is an image; a first line may name the columns.

The answer is the probabilities of each image."""

_SUMMARIES = {"split": "A data frame.", "instances": "As for TensorFlow Serving."}


def mlflow_paths(subject: Subject) -> Json:
    """Describe the paths."""
    return {
        "/invocations": {"post": _invoke(subject)},
        "/ping": {"get": _ping()},
        "/version": {"get": _version()},
    }


def _invoke(subject: Subject) -> Json:
    rows = array(array(PROBABILITY, len(subject.labels)), 1, subject.max_batch)
    responses = answers(
        "The probabilities of each image.",
        closed({"predictions": rows}),
        {"predictions": [subject.probabilities]},
        MODEL_VERSION_HEADER,
    )
    names = {"type": ["array", "null"]}
    split = {
        "type": "object",
        "properties": {
            "data": UNIT_BATCH,
            "columns": names | {"minItems": subject.image_size, "maxItems": subject.image_size},
            "index": names | {"minItems": 1, "maxItems": subject.max_batch},
        },
        "required": ["data"],
    }
    forms = ("instances", "inputs", "dataframe_split", "dataframe_records")
    request = [
        *instance_forms(subject, {}, forms),
        one_form("dataframe_split", split, {}, forms),
    ]
    columns = [str(pixel) for pixel in range(subject.image_size)]
    examples = {
        "split": {
            "dataframe_split": {"columns": columns, "data": [subject.values]},
        },
        "instances": {"instances": [subject.values]},
    }
    line = ",".join(map(str, subject.values))
    return operation(
        "invoke",
        "Score",
        _INVOKE,
        responses | errors("Error", 400, 413, 415, 503),
        body={
            "application/json": content_of({"anyOf": request}, examples, _SUMMARIES),
            "text/csv": content_of(TEXT, {"line": f"{line}\n"}, {"line": "A line of CSV."}),
        },
    )


def _ping() -> Json:
    return operation(
        "ping",
        "Whether it is ready",
        "Answers 200 when there is a model, else 503 with the reason.",
        answers_with("It is ready.", {"text/plain": {"schema": TEXT}}) | errors("Error", 503),
    )


def _version() -> Json:
    example = {"version": {"value": VERSION}}
    return operation(
        "getVersion",
        "The service's version",
        "Where MLflow's server tells its own.",
        answers_with("The version.", {"text/plain": {"schema": TEXT, "examples": example}}),
    )

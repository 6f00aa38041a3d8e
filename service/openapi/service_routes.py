"""The operations of `service.routes` and `service.docs`: the service tells of itself."""

from service.openapi.errors import errors
from service.openapi.parts import Json, answers, answers_with, closed, operation
from service.openapi.subject import Subject


def service_paths(subject: Subject) -> Json:
    """Describe the paths."""
    return {
        "/health": {
            "get": _readiness(
                subject, "getHealth", "Readiness, in short", "The same as `/health/ready`."
            )
        },
        "/health/ready": {
            "get": _readiness(
                subject,
                "getReadiness",
                "Readiness",
                "Ready means that the worker that answers has loaded, verified and warmed up a "
                "model that answers by default. Until then the answer is 503, and says why.",
            )
        },
        "/health/live": {
            "get": _liveness(
                "getLiveness",
                "Liveness",
                "Answers 200 as long as the process runs, whether or not there is a model.",
            )
        },
        "/": {"get": _root()},
        "/page/{filename}": {"get": _page_file()},
        "/models": {"get": _models(subject)},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _document()},
        "/docs": {"get": _page()},
        "/docs/style.css": {"get": _style()},
        "/docs/examples/{file}": {"get": _example_file()},
    }


def _readiness(subject: Subject, name: str, summary: str, description: str) -> Json:
    schema = closed(
        {
            "status": {"const": "ready"},
            "model": {"type": "string"},
            "version": {"type": "integer", "minimum": 1},
        }
    )
    example = {"status": "ready", "model": subject.model, "version": subject.version}
    ready = answers("It is ready, and this model answers by default.", schema, example)
    return operation(name, summary, description, ready | errors("Problem", 503))


def _liveness(name: str, summary: str, description: str) -> Json:
    schema = closed({"status": {"const": "alive"}})
    alive = answers("The process runs.", schema, {"status": "alive"})
    return operation(name, summary, description, alive)


def _root() -> Json:
    doors: Json = {"type": "array", "items": {"type": "string"}}
    schema = closed({"status": {"const": "alive"}, "doors": doors})
    example = {"status": "alive", "doors": ["GET /docs", "POST /predict"]}
    alive = answers("The page, or that the process runs and where to ask.", schema, example)
    alive["200"]["content"]["text/html"] = {"schema": {"type": "string"}}
    return operation(
        "getRoot",
        "A page to draw on, or liveness",
        "Where `Accept` prefers `text/html`, a page to draw digits on. Otherwise the same as "
        "`/health/live`, and all routes.",
        alive,
    )


def _page_file() -> Json:
    parameter = {
        "name": "filename",
        "in": "path",
        "required": True,
        "description": "A file that the page asks for.",
        "schema": {"type": "string", "minLength": 1},
        "example": "draw.js",
    }
    return operation(
        "getPageFile",
        "What the page to draw on consists of",
        "Its style, its scripts, its pictures.",
        answers_with("The file.", {"*/*": {}}) | errors("Problem", 404),
        parameters=[parameter],
    )


def _models(subject: Subject) -> Json:
    version = closed(
        {
            "version": {"type": "integer", "minimum": 1},
            "state": {"enum": ["loaded", "available", "refused"]},
            "reason": {"type": "string"},
        },
        optional=["reason"],
    )
    model = closed(
        {
            "name": {"type": "string"},
            "current": {"type": ["integer", "null"], "minimum": 1},
            "versions": {"type": "array", "items": version},
        }
    )
    example = {
        "name": subject.model,
        "current": subject.version,
        "versions": [{"version": subject.version, "state": "loaded"}],
    }
    return operation(
        "listModels",
        "Which models there are",
        "Every version that is on disk: `loaded` ones are in memory, `available` ones are loaded "
        "when they are asked for, `refused` ones are not sound, and `reason` says why. The "
        "`current` version of a model answers when a request names none.",
        answers(
            "The models.",
            closed({"models": {"type": "array", "items": model}}),
            {"models": [example]},
        ),
    )


def _metrics() -> Json:
    text = {"schema": {"type": "string"}}
    return operation(
        "getMetrics",
        "Figures for Prometheus",
        "Requests, their times, batch sizes, predicted labels, confidences, model versions: of all "
        "workers together. OpenMetrics, where `Accept` asks for it.",
        answers_with(
            "The figures.", {"text/plain": text, "application/openmetrics-text": dict(text)}
        ),
    )


def _document() -> Json:
    return operation(
        "getOpenapi",
        "This description, for machines",
        "An OpenAPI 3.1 document of every route. Shapes and examples are those of the model that "
        "answers by default.",
        answers_with("The document.", {"application/json": {"schema": {"type": "object"}}}),
    )


def _page() -> Json:
    return operation(
        "getDocs",
        "This description, for people",
        "The same as a page. It needs nothing from the internet, and no script.",
        answers_with("The page.", {"text/html": {"schema": {"type": "string"}}}),
    )


def _style() -> Json:
    return operation(
        "getDocsStyle",
        "The page's style",
        "Light or dark, as the reader's system is.",
        answers_with("The style sheet.", {"text/css": {"schema": {"type": "string"}}}),
    )


def _example_file() -> Json:
    parameter = {
        "name": "file",
        "in": "path",
        "required": True,
        "description": "A name that the page shows.",
        "schema": {"type": "string", "minLength": 1},
        "example": "predict.image.json",
    }
    return operation(
        "getExample",
        "The body of an example",
        "The bodies of the requests on the page, to be piped into the next command.",
        answers_with("The body.", {"*/*": {}}) | errors("Problem", 404),
        parameters=[parameter],
    )

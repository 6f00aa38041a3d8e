"""What API keys and a rate limit add to the document, where they are on."""

from service.gate import HEALTH_PATHS
from service.openapi.errors import Form, errors
from service.openapi.parts import Json
from service.openapi.subject import Subject

SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of the service's API keys."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same, in a header of its own.",
    },
}

WWW_AUTHENTICATE: Json = {
    "WWW-Authenticate": {
        "description": "How to send a key.",
        "required": True,
        "schema": {"const": "Bearer"},
    }
}


def gate_statuses(subject: Subject) -> list[int]:
    """List what the gates that are there answer."""
    return [401] * subject.keyed + [429] * bool(subject.rate_limit)


def gate_paragraphs(subject: Subject) -> str:
    """Tell of the gates that are there."""
    text = ""
    if subject.keyed:
        text += (
            "\n\nA request needs an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`, "
            "unless it asks after health; without one it is answered with 401."
        )
    if subject.rate_limit:
        text += (
            f"\n\nA client may ask a worker {subject.rate_limit}, health and metrics not counted; "
            "beyond that it is answered with 429 and `Retry-After`."
        )
    return text


def behind_gates(subject: Subject, path: str, form: Form, operation: Json) -> Json:
    """Add to an operation of a path what the gates before it answer, and that it needs a key."""
    if path in HEALTH_PATHS:
        return operation
    statuses = [s for s in gate_statuses(subject) if (path, s) != ("/metrics", 429)]
    added: Json = {"responses": operation["responses"] | errors(form, *statuses)}
    if subject.keyed:
        added["security"] = [{name: []} for name in SECURITY_SCHEMES]
    return operation | added

"""Questions as they go over a connection."""

from benchmarks.chaos.clients import Question


def write_request(question: Question, request_id: str | None = None) -> bytes:
    """Write the request of a question that has a body."""
    content = question.content or b""
    headers = {"Host": "127.0.0.1", **question.headers, "Content-Length": str(len(content))}
    if request_id is not None:
        headers["X-Request-ID"] = request_id
    lines = [f"POST {question.path} HTTP/1.1", *(f"{key}: {headers[key]}" for key in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + content

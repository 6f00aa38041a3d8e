"""What is raised when a request cannot be answered as it asks."""

from collections.abc import Mapping


class RequestError(Exception):
    """A request that gets an error for an answer.

    Args:
        status: Of the answer, 400 or more.
        detail: One sentence: what was expected, what came, what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

"""The one kind of failure that a person can mend: its message is the line they read."""

from nncore.messages import one_line


class TrainerError(Exception):
    """The job cannot go on; the message says what was expected, what came, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class DataError(TrainerError):
    """A data set is not what it should be."""


class DownloadError(TrainerError):
    """A file could be had from no mirror."""

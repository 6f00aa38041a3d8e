"""Errors that a user can resolve, with a message in one line."""

from nncore.messages import one_line


class TrainerError(Exception):
    """The job cannot continue; the message names the cause and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class DataError(TrainerError):
    """A data set is invalid."""


class DownloadError(TrainerError):
    """A file cannot be downloaded."""

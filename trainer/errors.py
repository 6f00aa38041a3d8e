"""The one kind of failure that a person can mend: its message is the line they read."""


class TrainerError(Exception):
    """The job cannot go on; the message says what was expected, what came, and what to do."""


class DataError(TrainerError):
    """A data set is not what it should be."""


class DownloadError(TrainerError):
    """A file could be had from no mirror."""

"""Machine-readable logs of the epochs: JSON lines and TensorBoard events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from trainer.errors import TrainerError
from trainer.history import EpochRecord

_FLUSH_SECONDS = 1


class EpochLog(Protocol):
    """A log with one entry per epoch."""

    def write(self, record: EpochRecord) -> None:
        """Write the entry of an epoch.

        Raises:
            OSError: Writing failed.
        """

    def close(self) -> None:
        """Flush and close the log.

        Raises:
            OSError: Writing failed.
        """


class JsonLinesLog:
    """A file with one line per epoch, the JSON of its `EpochRecord`.

    It is truncated and starts with the epochs of `history`, so that a resumed run writes the same
    lines as an uninterrupted one. It is not replaced, so that `tail -f` keeps following it.

    Args:
        path: The file; its folder is created.
        history: The epochs of the run that is resumed.

    Raises:
        OSError: The file cannot be written.
        ValueError: A number of the history is not finite, which JSON does not support.
    """

    def __init__(self, path: Path, history: Sequence[EpochRecord]) -> None:
        lines = "".join(record.to_json_line() for record in history)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._append(lines)

    def write(self, record: EpochRecord) -> None:
        """Append the line of an epoch and flush it.

        Raises:
            OSError: Writing failed.
            ValueError: A number is not finite, which JSON does not support.
        """
        self._append(record.to_json_line())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, lines: str) -> None:
        self._file.write(lines)
        self._file.flush()


class TensorBoardLog:
    """A folder of TensorBoard events, with one point per epoch in each curve.

    A resumed run continues in the same folder: TensorBoard hides older points of epochs after
    `history`, and the points of `history` are not written again.

    Args:
        folder: The folder of the event files; it is created.
        history: The epochs of the run that is resumed.

    Raises:
        OSError: The folder cannot be written.
        TrainerError: The package tensorboardX is not installed.
    """

    def __init__(self, folder: Path, history: Sequence[EpochRecord]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise TrainerError(
                f"expected the package tensorboardX for --tensorboard, got {error!r}: install the "
                "extra 'tensorboard': pip install '.[tensorboard]' in the folder of the project"
            ) from error
        first_epoch = len(history) + 1
        self._writer = SummaryWriter(
            logdir=str(folder),
            purge_step=first_epoch,
            # flush() does not cover what is still in the queue of the writer's thread.
            flush_secs=_FLUSH_SECONDS,
            # Without it, two files created within a second have the same name.
            filename_suffix=f".{first_epoch:06}",
        )

    def write(self, record: EpochRecord) -> None:
        """Add the points of an epoch; they are on disk within about a second.

        Raises:
            OSError: Writing the points of this epoch or the previous one failed.
        """
        for tag, value in _points(record).items():
            self._writer.add_scalar(tag, value, global_step=record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Write all points to disk, and close the file.

        Raises:
            OSError: Writing failed.
        """
        self._writer.close()


def _points(record: EpochRecord) -> dict[str, float]:
    """Return the numbers by tag; TensorBoard groups tags by the part before the slash."""
    return {
        "loss/training": record.training_loss,
        "loss/validation": record.validation_loss,
        "accuracy/validation": record.validation_accuracy,
        "learning_rate": record.learning_rate,
        "images_per_second": record.images_per_second,
    }

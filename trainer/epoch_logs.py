"""Where a run tells programs of its epochs: a file of JSON lines, a folder for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from trainer.errors import TrainerError
from trainer.history import EpochRecord

_FLUSH_SECONDS = 1


class EpochLog(Protocol):
    """What is told of every epoch as it ends."""

    def write(self, record: EpochRecord) -> None:
        """Tell of an epoch.

        Raises:
            OSError: It cannot be written.
        """

    def close(self) -> None:
        """Finish what is written; nothing may be written after.

        Raises:
            OSError: It cannot be written.
        """


class JsonLinesLog:
    """A file with a line an epoch, the JSON of its `EpochRecord`.

    The file begins anew with the epochs of `history`, so that a resumed run leaves the same lines
    as one that was never interrupted. It is emptied, not replaced, and `tail -f` goes on following.

    Args:
        path: The file; its folder is made.
        history: The epochs before this log, of a run that is resumed.

    Raises:
        OSError: The file cannot be written.
        ValueError: A number of the history is not finite, which JSON cannot express.
    """

    def __init__(self, path: Path, history: Sequence[EpochRecord]) -> None:
        lines = "".join(record.to_json_line() for record in history)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._append(lines)

    def write(self, record: EpochRecord) -> None:
        """Append an epoch's line, at once.

        Raises:
            OSError: It cannot be written.
            ValueError: A number is not finite, which JSON cannot express.
        """
        self._append(record.to_json_line())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, lines: str) -> None:
        self._file.write(lines)
        self._file.flush()


class TensorBoardLog:
    """A folder that TensorBoard shows, with a point an epoch in each of its curves.

    A resumed run goes on in the same folder: whatever it holds from the first epoch after
    `history` on is hidden. The points of `history` itself are not written again.

    Args:
        folder: Where event files are added; it is made.
        history: The epochs before this log, of a run that is resumed.

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
            # flush() leaves out what another thread has yet to take from a queue.
            flush_secs=_FLUSH_SECONDS,
            # Two files of one second would have one name, and the later would empty the earlier.
            filename_suffix=f".{first_epoch:06}",
        )

    def write(self, record: EpochRecord) -> None:
        """Add an epoch's points; they are on the disk within a second or so.

        Raises:
            OSError: This epoch's points, or those of the epoch before, cannot be written.
        """
        for tag, value in _points(record).items():
            self._writer.add_scalar(tag, value, global_step=record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Wait until every point is on the disk, and close the file.

        Raises:
            OSError: Points cannot be written.
        """
        self._writer.close()


def _points(record: EpochRecord) -> dict[str, float]:
    """Name the numbers as TensorBoard groups them: by what stands before the slash."""
    return {
        "loss/training": record.training_loss,
        "loss/validation": record.validation_loss,
        "accuracy/validation": record.validation_accuracy,
        "learning_rate": record.learning_rate,
        "images_per_second": record.images_per_second,
    }

"""The epoch logs: current, complete and without repetition after a resumption."""

import json
import struct
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from trainer.epoch_logs import EpochLog, JsonLinesLog, TensorBoardLog
from trainer.errors import TrainerError
from trainer.history import EpochRecord

FIELD_OF_TAG = {
    "loss/training": "training_loss",
    "loss/validation": "validation_loss",
    "accuracy/validation": "validation_accuracy",
    "learning_rate": "learning_rate",
    "images_per_second": "images_per_second",
}


def records(last: int, first: int = 1) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, 0.1 / epoch, 1 / epoch, 2 / epoch, 1 - 0.1 / epoch, 12_345.678, 7.5)
        for epoch in range(first, last + 1)
    ]


def write(log: EpochLog, history: Sequence[EpochRecord]) -> None:
    with closing(log):
        for record in history:
            log.write(record)


def read_points(folder: Path) -> list[tuple[str, int, float]]:
    """Read tag, step and value as TensorBoard does: a session hides older points from its step."""
    points: list[tuple[str, int, float]] = []
    for file in sorted(folder.iterdir()):
        content, start = file.read_bytes(), 0
        while start < len(content):  # length, its checksum, data, their checksum
            (length,) = struct.unpack_from("<Q", content, start)
            event = Event.FromString(content[start + 12 : start + 12 + length])
            start += 16 + length
            if event.session_log.status == SessionLog.START:
                points = [point for point in points if point[1] < event.step]
            points += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return points


def points_of(history: Sequence[EpochRecord]) -> list[tuple[str, int, float]]:
    return [
        (tag, record.epoch, float(np.float32(getattr(record, field))))
        for record in history
        for tag, field in FIELD_OF_TAG.items()
    ]


def read_lines(path: Path) -> list[EpochRecord]:
    return [EpochRecord(**json.loads(line)) for line in path.read_text().splitlines()]


def test_a_resumed_run_writes_the_lines_of_an_uninterrupted_one_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "epochs.jsonl"
    with closing(JsonLinesLog(path, [])) as log:
        for epoch in (1, 2, 3, 4):
            log.write(records(epoch)[-1])
            assert read_lines(path) == records(epoch)
    with path.open() as follower:  # as `tail -f`
        write(JsonLinesLog(path, records(2)), records(3, first=3))
        assert [json.loads(line)["epoch"] for line in follower] == [1, 2, 3]
    assert read_lines(path) == records(3)


def test_a_number_that_json_does_not_support_leaves_the_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    diverged = replace(records(2)[-1], training_loss=float("nan"))
    with closing(JsonLinesLog(path, records(1))) as log, pytest.raises(ValueError, match="JSON"):
        log.write(diverged)
    with pytest.raises(ValueError, match="JSON"):
        JsonLinesLog(path, [diverged])
    assert read_lines(path) == records(1)


@pytest.mark.parametrize("epochs_logged", [0, 2, 4])
@pytest.mark.parametrize("resumed", [0, 2])
def test_tensorboard_shows_each_epoch_of_the_last_run_once(
    tmp_path: Path, epochs_logged: int, resumed: int
) -> None:
    folder = tmp_path / "new" / "folders"
    resumed = min(epochs_logged, resumed)
    write(TensorBoardLog(folder, []), records(epochs_logged))
    write(TensorBoardLog(folder, records(resumed)), records(5, first=resumed + 1))
    assert read_points(folder) == points_of(records(5))


def test_without_the_extra_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainerError, match="the extra 'tensorboard'"):
        TensorBoardLog(tmp_path / "logs", [])
    assert not (tmp_path / "logs").exists()

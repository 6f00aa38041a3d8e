"""Epoch logs: what programs read is current, complete, and says nothing twice."""

import json
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from trainer.epoch_logs import EpochLog, JsonLinesLog, TensorBoardLog
from trainer.errors import TrainerError
from trainer.history import EpochRecord

LOGS = [JsonLinesLog, TensorBoardLog]
FIELD_OF_TAG = {
    "loss/training": "training_loss",
    "loss/validation": "validation_loss",
    "accuracy/validation": "validation_accuracy",
    "learning_rate": "learning_rate",
    "images_per_second": "images_per_second",
}


def record(epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        learning_rate=0.1 / epoch,
        training_loss=1 / (3 * epoch),
        validation_loss=1.1 / (3 * epoch),
        validation_accuracy=1 - 0.1 / epoch,
        images_per_second=12_345.678,
        seconds=7.5 * epoch,
    )


def records(last: int, first: int = 1) -> list[EpochRecord]:
    return [record(epoch) for epoch in range(first, last + 1)]


def write(log: EpochLog, history: Sequence[EpochRecord]) -> None:
    with closing(log):
        for entry in history:
            log.write(entry)


def read_json_lines(path: Path) -> list[EpochRecord]:
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [EpochRecord(**json.loads(line)) for line in text.splitlines()]


def read_events(file: Path) -> Iterator[Event]:
    """Take the complete records of a file: length, its checksum, data, their checksum."""
    content = file.read_bytes()
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        if start + 16 + length > len(content):
            return
        yield Event.FromString(content[start + 12 : start + 12 + length])
        start += 16 + length


def read_points(folder: Path) -> list[tuple[str, int, float]]:
    """Read tag, step and value as TensorBoard shows them: a session hides from its step on."""
    points: list[tuple[str, int, float]] = []
    for file in sorted(folder.iterdir()):
        for event in read_events(file):
            if event.session_log.status == SessionLog.START:
                points = [point for point in points if point[1] < event.step]
            points += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return points


def expected_points(history: Sequence[EpochRecord]) -> list[tuple[str, int, float]]:
    return [
        (tag, entry.epoch, float(np.float32(getattr(entry, field))))
        for entry in history
        for tag, field in FIELD_OF_TAG.items()
    ]


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "epochs.jsonl"
    with closing(JsonLinesLog(path, [])) as log:
        assert read_json_lines(path) == []
        for epoch in (1, 2, 3):
            log.write(record(epoch))
            assert read_json_lines(path) == records(epoch)
    assert read_json_lines(path) == records(3)


def test_a_resumed_run_leaves_the_lines_of_one_never_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    write(JsonLinesLog(path, []), records(4))
    with closing(JsonLinesLog(path, records(2))) as log:
        assert read_json_lines(path) == records(2)
        log.write(record(3))
    assert read_json_lines(path) == records(3)


def test_who_follows_the_file_goes_on_when_the_run_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    write(JsonLinesLog(path, []), records(2))
    with path.open() as follower:
        write(JsonLinesLog(path, records(2)), records(3, first=3))
        assert [json.loads(line)["epoch"] for line in follower] == [1, 2, 3]


def test_what_json_cannot_express_is_an_error_that_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    diverged = replace(record(2), training_loss=float("nan"))
    with closing(JsonLinesLog(path, records(1))) as log, pytest.raises(ValueError, match="JSON"):
        log.write(diverged)
    with pytest.raises(ValueError, match="JSON"):
        JsonLinesLog(path, [diverged])
    assert read_json_lines(path) == records(1)


@pytest.mark.parametrize("log", LOGS)
def test_a_path_that_cannot_be_written_is_an_os_error(
    tmp_path: Path, log: type[JsonLinesLog] | type[TensorBoardLog]
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match="file"):
        log(file / "folder" / "log", [])


def test_tensorboard_gets_points_while_the_run_goes_on(tmp_path: Path) -> None:
    with closing(TensorBoardLog(tmp_path, [])) as log:
        log.write(record(1))
        deadline = time.monotonic() + 20
        while read_points(tmp_path) != expected_points(records(1)):
            assert time.monotonic() < deadline


@pytest.mark.parametrize("epochs_logged", [2, 4])
def test_tensorboard_shows_each_epoch_of_a_resumed_run_once(
    tmp_path: Path, epochs_logged: int
) -> None:
    write(TensorBoardLog(tmp_path, []), records(epochs_logged))
    write(TensorBoardLog(tmp_path, records(2)), records(5, first=3))
    assert read_points(tmp_path) == expected_points(records(5))


def test_tensorboard_forgets_the_run_before_when_one_begins_in_its_folder(tmp_path: Path) -> None:
    write(TensorBoardLog(tmp_path, []), records(3))
    write(TensorBoardLog(tmp_path, []), records(1))
    assert read_points(tmp_path) == expected_points(records(1))


def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    message = r"expected the package tensorboardX .*--tensorboard, got .*: .*make extras"
    with pytest.raises(TrainerError, match=message):
        TensorBoardLog(tmp_path / "logs", [])
    assert not (tmp_path / "logs").exists()

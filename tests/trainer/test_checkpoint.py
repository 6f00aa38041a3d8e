"""Checkpoints: a run continues to the same bytes, and no failure leaves half a checkpoint."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.support.data import toy_problem, tree
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.checkpoint import CHECKPOINT_FILE, RunFolder
from trainer.errors import TrainerError
from trainer.fit import fit
from trainer.recipe import Recipe
from trainer.training_state import TrainingState

RECIPE = Recipe(
    hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=4, augmentation=DEFAULT_STRENGTH
)
TRAIN, VALID = toy_problem(90, seed=1), toy_problem(30, seed=2)
IDENTITY = {"seed": 1, "recipe": {"epochs": 4}}


def begin() -> TrainingState:
    return TrainingState.begin(RECIPE, (4, 3), 3, np.random.default_rng(0))


def train(state: TrainingState, folder: RunFolder | None = None, epochs: int = 4) -> None:
    """Train up to an epoch of a run of four."""

    class EnoughError(Exception):
        pass

    def after_epoch(_record: object) -> None:
        if folder:
            folder.save(state)
        if len(state.history) == epochs < RECIPE.epochs:
            raise EnoughError

    with suppress(EnoughError):
        fit(state, RECIPE, TRAIN, VALID, [after_epoch])


def weights(state: TrainingState) -> list[bytes]:
    return [value.tobytes() for value in state.model.state_dict().values()]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "checkpoints", "letters", IDENTITY)


@pytest.mark.parametrize("epochs", [1, 3, 4])
def test_a_restored_run_ends_with_the_same_bytes(folder: RunFolder, epochs: int) -> None:
    whole, restored = begin(), begin()
    assert not folder.restore(restored)
    train(whole)
    train(begin(), folder, epochs)
    assert folder.restore(restored)
    assert len(restored.history) == epochs
    train(restored)
    assert weights(restored) == weights(whole)
    assert restored.best_epoch == whole.best_epoch
    for state in (restored, whole):
        state.use_best_weights()
    assert weights(restored) == weights(whole)


def test_the_last_and_the_best_weights_are_in_a_safetensors_file(folder: RunFolder) -> None:
    state = begin()
    train(state, folder, 2)
    state.add(replace(state.history[-1], epoch=3, validation_loss=1e9))  # not the best
    folder.save(state)
    assert [*tree(folder.path)] == [CHECKPOINT_FILE]
    saved = load_file(folder.path / CHECKPOINT_FILE)
    assert state.best_weights is not None
    for name, value in state.model.state_dict().items():
        np.testing.assert_array_equal(saved[f"model.{name}"], value)
        np.testing.assert_array_equal(saved[f"best.{name}"], state.best_weights[name])


@pytest.mark.parametrize("failing", [1, 2])
def test_a_full_disk_leaves_the_previous_checkpoint(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    state = begin()
    train(state, folder, 1)
    state.add(replace(state.history[-1], epoch=2, validation_loss=1e-9))
    with monkeypatch.context() as patch:
        results = [*[None] * (failing - 1), OSError(errno.ENOSPC, "No space left"), None, None]
        patch.setattr(os, "fsync", Mock(side_effect=results))
        with pytest.raises(OSError, match="No space left"):
            folder.save(state)
    assert [*tree(folder.path)] == [CHECKPOINT_FILE]
    restored = begin()
    assert folder.restore(restored)
    assert len(restored.history) in ({1} if failing == 1 else {1, 2})
    folder.save(state)
    assert folder.restore(restored)
    assert len(restored.history) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content.replace(b"model.0.weight", b"model.9.weight"),
        lambda content: content.replace(b"best.0.weight", b"best.9.weight"),
        lambda content: content.replace(b'"history"', b'"mystery"'),
    ],
    ids=["truncated", "another network", "no best weights", "no history"],
)
def test_a_damaged_checkpoint_is_rejected(
    folder: RunFolder, damage: Callable[[bytes], bytes]
) -> None:
    train(begin(), folder, 1)
    path = folder.path / CHECKPOINT_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainerError, match=r"expected a checkpoint in .*--resume"):
        folder.restore(begin())


@pytest.mark.usefixtures("nfs_locks")
def test_runs_that_differ_and_concurrent_runs_have_different_folders(tmp_path: Path) -> None:
    runs = [("letters", IDENTITY), ("digits", IDENTITY), ("letters", {**IDENTITY, "seed": 2})]
    assert len({RunFolder(tmp_path, *run).path for run in runs}) == 3
    with RunFolder(tmp_path, "letters", IDENTITY) as one:
        with RunFolder(tmp_path, "letters", IDENTITY) as two:
            assert one.path != two.path
            train(begin(), two, 1)
        with RunFolder(tmp_path, "letters", IDENTITY) as again:
            assert again.path == two.path
            assert again.restore(begin())


def test_clear_removes_all_files_and_an_empty_folder_is_removed(tmp_path: Path) -> None:
    with RunFolder(tmp_path, "letters", IDENTITY) as folder:
        train(begin(), folder, 1)
        (folder.path / f".{CHECKPOINT_FILE}").write_bytes(b"of a killed writer")
    with RunFolder(tmp_path, "letters", IDENTITY) as same:
        assert same.path == folder.path
        same.clear()
    assert tree(tmp_path) == {}

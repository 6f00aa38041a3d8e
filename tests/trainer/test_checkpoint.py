"""Checkpoints: a run goes on from them as if nothing had happened, and they are whole or not."""

import errno
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.support.data import toy_problem, tree
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.checkpoint import BEST_FILE, LAST_FILE, RunFolder
from trainer.errors import TrainerError
from trainer.fit import fit
from trainer.recipe import Recipe
from trainer.training_state import TrainingState

RECIPE = Recipe(
    hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=5, augmentation=DEFAULT_STRENGTH
)
TRAIN, VALID = toy_problem(90, seed=1), toy_problem(30, seed=2)
IDENTITY = {"seed": 1, "recipe": {"epochs": 5}}


def begin() -> TrainingState:
    return TrainingState.begin(RECIPE, (4, 3), 3, np.random.default_rng(0))


def train(state: TrainingState, folder: RunFolder | None = None, epochs: int = 5) -> None:
    """Train to an epoch of a run of five."""

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


@pytest.mark.parametrize("epochs", [1, 2, 4, 5])
def test_a_restored_run_ends_with_the_same_bytes(folder: RunFolder, epochs: int) -> None:
    whole = begin()
    train(whole)
    train(begin(), folder, epochs)
    restored = begin()
    assert folder.restore(restored)
    assert len(restored.history) == epochs
    train(restored)
    assert weights(restored) == weights(whole)
    assert restored.best_epoch == whole.best_epoch
    assert restored.best_weights is not None
    assert whole.best_weights is not None
    for name, value in whole.best_weights.items():
        np.testing.assert_array_equal(restored.best_weights[name], value)


def test_the_last_and_the_best_are_kept_in_an_open_format(folder: RunFolder) -> None:
    state = begin()
    train(state, folder, 4)
    assert sorted(tree(folder.path)) == [BEST_FILE, LAST_FILE]
    best, last = load_file(folder.path / BEST_FILE), load_file(folder.path / LAST_FILE)
    assert state.best_weights is not None
    for name, value in state.model.state_dict().items():
        np.testing.assert_array_equal(last[f"model.{name}"], value)
        np.testing.assert_array_equal(best[name], state.best_weights[name])


def test_an_epoch_that_is_not_the_best_leaves_the_best_alone(folder: RunFolder) -> None:
    state = begin()
    train(state, folder, 2)
    before = (folder.path / BEST_FILE).read_bytes()
    state.add(replace(state.history[-1], epoch=3, validation_loss=1e9))
    folder.save(state)
    assert (folder.path / BEST_FILE).read_bytes() == before
    restored = begin()
    assert folder.restore(restored)
    assert (len(restored.history), restored.best_epoch) == (3, state.best_epoch)


def test_without_a_checkpoint_there_is_nothing_to_restore(folder: RunFolder) -> None:
    state = begin()
    before = weights(state)
    assert not folder.restore(state)
    assert (weights(state), state.history) == (before, [])


@pytest.mark.parametrize("at", range(1, 5))
def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    state = begin()
    train(state, folder, 1)
    sync, calls = os.fsync, 0

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    state.add(replace(state.history[-1], epoch=2, validation_loss=1e-9))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            folder.save(state)
    assert sorted(tree(folder.path)) == [BEST_FILE, LAST_FILE]
    restored = begin()
    assert folder.restore(restored)
    assert len(restored.history) in ({1} if at < 4 else {1, 2})
    folder.save(state)
    assert folder.restore(restored)
    assert len(restored.history) == 2


def cut(content: bytes) -> bytes:
    return content[:-1]


def garble(content: bytes) -> bytes:
    return b"\xff" + content[1:]


@pytest.mark.parametrize("damage", [cut, garble, of_another_network, without_history])
def test_a_damaged_checkpoint_is_refused_and_said_to_be_one(folder: RunFolder, damage: Any) -> None:
    train(begin(), folder, 2)
    path = folder.path / LAST_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainerError, match=r"expected a checkpoint in .*--resume"):
        folder.restore(begin())


def test_a_run_is_told_from_others_by_all_that_its_result_depends_on(tmp_path: Path) -> None:
    paths = set()
    for name, identity in [
        ("letters", IDENTITY),
        ("digits", IDENTITY),
        ("letters", {**IDENTITY, "seed": 2}),
        ("letters", {**IDENTITY, "recipe": {"epochs": 6}}),
    ]:
        with RunFolder(tmp_path, name, identity) as folder:
            paths.add(folder.path)
    assert len(paths) == 4


def test_two_processes_at_the_same_run_have_a_folder_each(tmp_path: Path) -> None:
    with RunFolder(tmp_path, "letters", IDENTITY) as one:
        with RunFolder(tmp_path, "letters", IDENTITY) as two:
            assert one.path != two.path
            train(begin(), two, 1)
        with RunFolder(tmp_path, "letters", IDENTITY) as again:
            assert again.path == two.path
            assert again.restore(begin())


def test_a_folder_without_checkpoints_does_not_stay(tmp_path: Path) -> None:
    with RunFolder(tmp_path, "letters", IDENTITY) as folder:
        train(begin(), folder, 1)
    assert [path.name for path in tmp_path.iterdir()] == [folder.path.name]
    with RunFolder(tmp_path, "letters", IDENTITY) as same:
        assert same.path == folder.path
        same.clear()
    assert tree(tmp_path) == {}


def test_a_kill_between_two_removals_leaves_no_checkpoint_that_is_not_whole(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def unlink_and_die(path: Path, missing_ok: bool = False) -> None:
        path.rename(path.with_name("gone"))
        raise KilledError

    train(begin(), folder, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_and_die)
        patch.setattr(Path, "iterdir", lambda path: [path / BEST_FILE, path / LAST_FILE])
        with pytest.raises(KilledError):
            folder.clear()
    assert not folder.restore(begin())
    folder.clear()
    assert tree(folder.path) == {}

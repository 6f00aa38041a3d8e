"""What `--dataset` may name: MNIST or a loud substitute, synthetic digits, a path; not nonsense."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.data import idx_bytes, small_mnist, toy_problem
from trainer import sources
from trainer.errors import DataError, DownloadError
from trainer.labelled_images import ImageData
from trainer.mnist import load_mnist
from trainer.sources import load_dataset, synthetic_data

SMALL = small_mnist()

pytestmark = pytest.mark.usefixtures("no_backoff", "few_images")


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SYNTHETIC_TRAIN_IMAGES", 30)
    monkeypatch.setattr(sources, "SYNTHETIC_TEST_IMAGES", 20)
    monkeypatch.setattr(sources, "load_mnist", partial(load_mnist, files=SMALL.files))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in SMALL.contents.items():
        (folder / name).write_bytes(content)
    return folder


def load(
    dataset: str | Path, tmp_path: Path, *mirrors: str, data_dir: Path | None = None, seed: int = 0
) -> ImageData:
    return load_dataset(str(dataset), data_dir, tmp_path / "cache", seed, mirrors)


@pytest.mark.parametrize("dataset", ["auto", "mnist"])
def test_mnist_is_taken_where_it_can_be_had(
    tmp_path: Path, data_dir: Path, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load(dataset, tmp_path, data_dir=data_dir)
    assert (data.name, len(data.train)) == ("mnist", 40)
    assert capsys.readouterr().out == ""


def test_auto_says_loudly_that_it_falls_back_on_synthetic_digits(
    tmp_path: Path, dead_mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load("auto", tmp_path, dead_mirror)
    assert (data.name, len(data.train)) == ("synthetic", 30)
    output = capsys.readouterr().out
    assert "WARNING: TRAINING ON SYNTHETIC DIGITS INSTEAD" in output
    assert "'synthetic', not 'mnist'" in output
    assert f"from {dead_mirror}" in output


def test_mnist_by_name_fails_and_says_what_to_do(tmp_path: Path, dead_mirror: str) -> None:
    with pytest.raises(DownloadError) as error:
        load("mnist", tmp_path, dead_mirror)
    message = str(error.value)
    assert "\n" not in message
    for part in (dead_mirror, "--data-dir", "DATA_DIR", "--dataset synthetic"):
        assert part in message


@pytest.mark.parametrize("dataset", ["auto", "mnist"])
def test_damaged_files_of_ones_own_are_an_error_and_no_reason_to_fall_back(
    tmp_path: Path, data_dir: Path, dataset: str
) -> None:
    os.truncate(data_dir / "train-labels-idx1-ubyte", 9)
    with pytest.raises(DataError, match="train-labels"):
        load(dataset, tmp_path, data_dir=data_dir)


def test_synthetic_digits_need_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load("synthetic", tmp_path, data_dir=tmp_path / "nowhere")
    assert data.name == "synthetic"
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (30, 20)
    assert "WARNING" not in capsys.readouterr().out
    assert not (tmp_path / "cache").exists()


def test_synthetic_test_images_are_never_training_images_of_any_seed_nearby() -> None:
    sets = [synthetic_data(seed) for seed in range(4)]
    train = {image.tobytes() for data in sets for image in data.train.images}
    test = {image.tobytes() for data in sets if data.test for image in data.test.images}
    assert (len(train), len(test)) == (4 * 30, 4 * 20)
    assert not train & test


def test_a_directory_gives_the_data_set_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = toy_problem(30)
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "train-images").write_bytes(idx_bytes(toy.images))
    (folder / "train-labels").write_bytes(idx_bytes(toy.labels.astype(np.uint8)))
    data = load(folder, tmp_path)
    assert (data.name, len(data.train), data.test) == ("letters", 30, None)
    monkeypatch.chdir(folder)
    assert load(".", tmp_path).name == "letters"


@pytest.mark.parametrize("dataset", ["nonsense", "MNIST", "nowhere/toy.npz"])
def test_nonsense_is_refused_with_what_may_be_said(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError) as error:
        load(tmp_path / dataset if "/" in dataset else dataset, tmp_path)
    message = str(error.value)
    assert message.startswith("expected auto, mnist, synthetic, an .npz file or a directory")
    assert dataset in message

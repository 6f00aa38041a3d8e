"""`--dataset`: MNIST, its synthetic substitute, files and directories, and invalid values."""

from functools import partial
from pathlib import Path

import pytest

from tests.support.data import idx_bytes, save_npz, small_mnist, toy_problem
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


def load(
    dataset: str | Path, tmp_path: Path, *mirrors: str, data_dir: Path | None = None
) -> ImageData:
    return load_dataset(str(dataset), data_dir, tmp_path / "cache", 0, mirrors)


@pytest.mark.parametrize("dataset", ["auto", "mnist"])
def test_mnist_is_used_if_available_and_an_error_if_damaged(tmp_path: Path, dataset: str) -> None:
    for name, content in SMALL.contents.items():
        (tmp_path / name).write_bytes(content)
    data = load(dataset, tmp_path, data_dir=tmp_path)
    assert (data.name, len(data.train)) == ("mnist", 40)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"damaged")
    with pytest.raises(DataError, match="train-labels"):
        load(dataset, tmp_path, data_dir=tmp_path)


def test_without_mnist_auto_warns_and_uses_synthetic_digits(
    tmp_path: Path, dead_mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in (dead_mirror, "--data-dir", "DATA_DIR", "--dataset synthetic"):
        with pytest.raises(DownloadError, match=part):
            load("mnist", tmp_path, dead_mirror)
    capsys.readouterr()
    for dataset, warns in [("synthetic", False), ("auto", True)]:
        data = load(dataset, tmp_path, dead_mirror)
        assert (data.name, len(data.train)) == ("synthetic", 30)
        output = capsys.readouterr().out
        assert ("WARNING: TRAINING ON SYNTHETIC DIGITS INSTEAD" in output) == warns


def test_synthetic_images_differ_between_seeds_and_between_training_and_test() -> None:
    sets = [synthetic_data(seed) for seed in range(3)]
    train = {image.tobytes() for data in sets for image in data.train.images}
    test = {image.tobytes() for data in sets if data.test for image in data.test.images}
    assert (len(train), len(test)) == (3 * 30, 3 * 20)
    assert not train & test
    assert "seed 2" in sets[2].digests["generator"]


def test_a_path_names_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = toy_problem(30)
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "train-images").write_bytes(idx_bytes(toy.images))
    (folder / "train-labels").write_bytes(idx_bytes(toy.labels.astype("u1")))
    assert load(folder, tmp_path).name == "letters"
    assert load(save_npz(tmp_path / "glyphs.npz"), tmp_path).name == "glyphs"
    monkeypatch.chdir(folder)
    assert load(".", tmp_path).name == "letters"


@pytest.mark.parametrize("folder", ["mnist", "raw"])
def test_a_folder_is_called_mnist_by_its_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    path = tmp_path / "data" / folder
    path.mkdir(parents=True)
    for name, content in SMALL.contents.items():
        (path / name).write_bytes(content)
    assert load(path, tmp_path).name == {"mnist": "data/mnist", "raw": "raw"}[folder]
    monkeypatch.setattr("trainer.mnist.FILES", SMALL.files)
    assert load(path, tmp_path).name == "mnist"


@pytest.mark.parametrize("dataset", ["MNIST", "nowhere/toy.npz"])
def test_an_unknown_data_set_is_rejected(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError, match=f"expected auto, mnist, synthetic, .*{dataset}"):
        load(dataset, tmp_path)

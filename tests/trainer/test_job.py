"""The whole job: what it publishes is what it measured, and nothing where anything fails."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore import ModelRepository, RepositoryError, evaluate
from tests.trainer.data import idx_bytes, save_npz, small_mnist, toy_problem, tree
from trainer import job as module
from trainer import sources
from trainer.errors import DataError, TrainerError
from trainer.fit import Fit, as_dataset, fit
from trainer.job import PROBES, Job, run
from trainer.labelled_images import ImageData, LabelledImages
from trainer.mnist import load_mnist
from trainer.recipe import Recipe

RECIPE = Recipe(hidden_sizes=(8,), learning_rate=0.02, batch_size=16, epochs=2, augmentation=None)
TEST = toy_problem(45, seed=9)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of drawing, for tests that look at something else."""
    monkeypatch.setattr(module, "make_report", lambda *_: {"README.md": b"# a card"})


def a_job(tmp_path: Path, dataset: str | Path | None = None) -> Job:
    if dataset is None:
        dataset = save_npz(
            tmp_path / "letters.npz", test_images=TEST.images, test_labels=TEST.labels
        )
    return Job(
        dataset=str(dataset),
        data_dir=None,
        cache_dir=tmp_path / "cache",
        model_dir=tmp_path / "models",
        model_name=None,
        num_classes=None,
        recipe=RECIPE,
        recipe_name="default",
        seed=0,
    )


def test_a_version_is_published_under_the_data_sets_name_with_its_report(tmp_path: Path) -> None:
    published = run(a_job(tmp_path))
    assert (published.manifest.name, published.manifest.version) == ("letters", 1)
    assert sorted(tree(tmp_path / "models")) == [
        "letters",
        "letters/1",
        "letters/1/model.json",
        "letters/1/model.safetensors",
        "letters/1/report",
        "letters/1/report/README.md",
        "letters/1/report/confusion.png",
        "letters/1/report/curves.png",
        "letters/1/report/mistakes.png",
        "letters/1/report/reliability.png",
    ]


@pytest.mark.usefixtures("no_pictures")
class TestWithoutPictures:
    def test_the_last_lines_say_how_well_it_does_and_where_it_lies(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(a_job(tmp_path))
        first, *epochs, tested, published = capsys.readouterr().out.splitlines()
        assert first == (
            "letters: 110 images to train on, 10 to validate, 45 to test; recipe default"
        )
        assert len(epochs) == 2
        assert tested.startswith("test ")
        assert "of 45) after" in tested
        assert published == f"published {tmp_path / 'models' / 'letters' / '1'}"

    def test_the_next_run_publishes_the_next_version(self, tmp_path: Path) -> None:
        job = a_job(tmp_path)
        assert [run(job).manifest.version for _ in range(2)] == [1, 2]

    def test_a_model_may_have_a_name_of_its_own(self, tmp_path: Path) -> None:
        run(replace(a_job(tmp_path), model_name="my-model.v2"))
        assert [path.name for path in (tmp_path / "models").iterdir()] == ["my-model.v2"]

    @pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b"])
    def test_a_name_that_cannot_be_a_models_is_refused_before_training(
        self, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ValueError, match="expected a model name"):
            run(replace(a_job(tmp_path), model_name=name))
        assert "epoch" not in capsys.readouterr().out
        assert tree(tmp_path / "models") == {}

    def test_what_is_published_says_where_it_comes_from(self, tmp_path: Path) -> None:
        run(replace(a_job(tmp_path), seed=5))
        manifest = ModelRepository(tmp_path / "models").load("letters").manifest
        assert manifest.layers == [12, 8, 3]
        assert manifest.input_shape == [4, 3]
        assert manifest.labels == ["0", "1", "2"]
        assert len(manifest.probes) == PROBES
        provenance = manifest.provenance
        assert provenance["recipe"] == {
            "name": "default",
            "hidden_sizes": [8],
            "learning_rate": 0.02,
            "momentum": 0.9,
            "schedule": "cosine",
            "batch_size": 16,
            "epochs": 2,
            "augmentation": None,
            "seed": 5,
        }
        assert provenance["dataset"]["name"] == "letters"
        assert set(provenance["dataset"]["digests"]) == {"letters.npz"}
        assert provenance["training"]["images"] == 110
        assert provenance["training"]["seconds"] >= 0

    def test_the_metrics_are_those_of_the_network_that_loads(self, tmp_path: Path) -> None:
        run(a_job(tmp_path))
        loaded = ModelRepository(tmp_path / "models").load("letters")
        again = evaluate(loaded.model, as_dataset(TEST))
        metrics = loaded.manifest.provenance["metrics"]
        assert metrics["test"]["images"] == again.total == 45
        assert metrics["test"]["accuracy"] == again.accuracy
        assert metrics["test"]["loss"] == pytest.approx(again.loss, rel=1e-4)
        assert metrics["validation"]["images"] == 10
        assert 0 <= metrics["validation"]["accuracy"] <= 1

    def test_a_set_without_test_images_has_some_held_back(self, tmp_path: Path) -> None:
        published = run(a_job(tmp_path, save_npz(tmp_path / "letters.npz")))
        provenance = published.manifest.provenance
        assert provenance["metrics"]["test"]["images"] == 12
        assert provenance["metrics"]["validation"]["images"] == 9
        assert provenance["training"]["images"] == 99

    def test_no_image_both_trains_and_tests(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = np.arange(90, dtype=np.uint8).reshape(90, 1, 1)
        path = save_npz(tmp_path / "x.npz", images=images, labels=np.arange(90) % 3)
        seen: list[int] = []

        def watch_fit(
            recipe: Recipe,
            train: LabelledImages,
            valid: LabelledImages,
            num_classes: int,
            rng: np.random.Generator,
        ) -> Fit:
            seen.extend([*train.images.ravel(), *valid.images.ravel()])
            return fit(recipe, train, valid, num_classes, rng)

        def watch_report(*arguments: Any) -> dict[str, bytes]:
            seen.extend(arguments[3].images.ravel())
            return {}

        monkeypatch.setattr(module, "fit", watch_fit)
        monkeypatch.setattr(module, "make_report", watch_report)
        run(a_job(tmp_path, path))
        assert sorted(seen) == list(range(90))

    def test_more_classes_than_labels_may_be_asked_for(self, tmp_path: Path) -> None:
        manifest = run(replace(a_job(tmp_path), num_classes=5)).manifest
        assert manifest.labels == ["0", "1", "2", "3", "4"]
        assert manifest.layers == [12, 8, 5]

    def test_labels_outside_the_classes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"expected labels in 0\.\.1, got 2"):
            run(replace(a_job(tmp_path), num_classes=2))
        assert tree(tmp_path / "models") == {}

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_set_too_small_to_hold_images_back_is_refused(
        self, tmp_path: Path, count: int
    ) -> None:
        toy = toy_problem(count)
        path = save_npz(tmp_path / "x.npz", images=toy.images, labels=toy.labels)
        with pytest.raises(TrainerError, match="expected"):
            run(replace(a_job(tmp_path, path), num_classes=3))
        assert tree(tmp_path / "models") == {}

    def test_the_smallest_set_trains(self, tmp_path: Path) -> None:
        toy = toy_problem(4)
        path = save_npz(tmp_path / "x.npz", images=toy.images, labels=toy.labels)
        assert run(a_job(tmp_path, path)).manifest.provenance["training"]["images"] == 2

    @pytest.mark.parametrize("shape", [(7,), (3, 3, 3)], ids=str)
    def test_images_of_any_shape_train(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        toy = toy_problem(shape=shape)
        path = save_npz(tmp_path / "x.npz", images=toy.images)
        assert run(a_job(tmp_path, path)).manifest.input_shape == list(shape)

    def test_a_directory_of_idx_files_trains(self, tmp_path: Path) -> None:
        toy = toy_problem()
        folder = tmp_path / "glyphs"
        folder.mkdir()
        (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(toy.images))
        (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(toy.labels.astype(np.uint8)))
        manifest = run(a_job(tmp_path, folder)).manifest
        assert manifest.name == "glyphs"
        assert set(manifest.provenance["dataset"]["digests"]) == {
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
        }

    def test_a_seed_publishes_the_same_weights_to_the_byte(self, tmp_path: Path) -> None:
        job = a_job(tmp_path)
        for seed in (3, 3, 4):
            run(replace(job, seed=seed))
        first, same, other = (
            (tmp_path / "models" / "letters" / version / "model.safetensors").read_bytes()
            for version in "123"
        )
        assert first == same
        assert first != other


@pytest.fixture
def small_sources(monkeypatch: pytest.MonkeyPatch, no_backoff: None, dead_mirror: str) -> None:
    """Few synthetic digits, a small MNIST, and mirrors that are down."""
    small = small_mnist()

    def load(data_dir: Path | None, cache_dir: Path, _mirrors: object) -> ImageData:
        return load_mnist(data_dir, cache_dir, [dead_mirror], small.files)

    monkeypatch.setattr(sources, "SYNTHETIC_TRAIN_IMAGES", 60)
    monkeypatch.setattr(sources, "SYNTHETIC_TEST_IMAGES", 20)
    monkeypatch.setattr(sources, "load_mnist", load)


@pytest.mark.usefixtures("small_sources", "no_pictures")
@pytest.mark.parametrize("dataset", ["auto", "synthetic"])
class TestSyntheticDigits:
    def test_they_are_published_as_synthetic(self, tmp_path: Path, dataset: str) -> None:
        manifest = run(a_job(tmp_path, dataset)).manifest
        assert (manifest.name, manifest.layers) == ("synthetic", [784, 8, 10])
        assert [path.name for path in (tmp_path / "models").iterdir()] == ["synthetic"]
        assert manifest.provenance["dataset"]["name"] == "synthetic"

    def test_they_may_have_another_name(self, tmp_path: Path, dataset: str) -> None:
        job = replace(a_job(tmp_path, dataset), model_name="drawn")
        assert run(job).manifest.name == "drawn"

    def test_they_never_claim_mnists_name(
        self, tmp_path: Path, dataset: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(TrainerError, match="does not claim mnist for synthetic"):
            run(replace(a_job(tmp_path, dataset), model_name="mnist"))
        assert "epoch" not in capsys.readouterr().out
        assert tree(tmp_path / "models") == {}


@pytest.mark.usefixtures("small_sources", "no_pictures")
def test_mnist_is_published_as_mnist(tmp_path: Path) -> None:
    for name, content in small_mnist().contents.items():
        (tmp_path / name).write_bytes(content)
    job = replace(a_job(tmp_path, "auto"), data_dir=tmp_path)
    manifest = run(job).manifest
    assert manifest.name == "mnist"
    assert manifest.provenance["metrics"]["test"]["images"] == 20


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("batch_size", [16, 1000])
def test_training_that_diverges_leaves_the_repository_as_it_was(
    tmp_path: Path, batch_size: int, epochs: int
) -> None:
    job = a_job(tmp_path)
    run(job)
    before = tree(tmp_path / "models")
    recipe = Recipe((8,), 1e300, 0, "constant", batch_size, epochs, augmentation=None)
    for name in ("letters", "new"):
        with pytest.raises((TrainerError, RepositoryError)):
            run(replace(job, model_name=name, recipe=recipe))
    assert tree(tmp_path / "models") == before


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("at", range(1, 8))
def test_a_disk_that_fills_up_leaves_the_repository_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    job = a_job(tmp_path)
    run(job)
    before = tree(tmp_path / "models")
    sync, calls = os.fsync, 0

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    for name in ("letters", "new"):
        calls = 0
        with pytest.raises(OSError, match="No space left"):
            run(replace(job, model_name=name))
        assert calls == at
    assert tree(tmp_path / "models") == before


def test_a_place_that_cannot_be_written_is_found_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(OSError, match="models"):
        run(a_job(tmp_path))
    assert capsys.readouterr().out == ""


def test_a_repository_of_another_user_is_said_to_be_one_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_repository: ModelRepository, _name: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "models/letters")

    monkeypatch.setattr(ModelRepository, "check_writable", refuse)
    with pytest.raises(
        TrainerError, match=r"may write, got .*'models/letters': change its owner .*--model-dir"
    ):
        run(a_job(tmp_path))

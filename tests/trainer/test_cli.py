"""The command line, in process and as a process: options, messages in one line, exit codes."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.data import save_npz, toy_problem, tree
from trainer import cli
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.cli import main
from trainer.job import Job
from trainer.recipe import RECIPES

PROJECT = Path(__file__).parents[2]
STOP_HINT = "; continue after the last epoch with --resume"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs of the command line, which do not run."""
    jobs: list[Job] = []
    monkeypatch.setattr(cli, "run", jobs.append)
    return jobs


def job_of(jobs: list[Job], *options: str) -> Job:
    assert main(options) == 0
    return jobs.pop()


def test_options_set_the_job_and_override_the_environment(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", "environment")
    monkeypatch.setenv("DATA_DIR", "environment")
    job = job_of(
        jobs,
        *("--dataset", "x.npz", "--data-dir", "d", "--cache-dir", "c", "--classes", "7"),
        *("--model-name", "n", "--recipe", "notebook", "--seed", "5", "--resume"),
        *("--checkpoint-dir", "k", "--metrics", "f", "--tensorboard", "t"),
        *("--publish-best-on-stop", "--hidden-sizes", "30,20", "--learning-rate", "0.25"),
    )
    assert job == Job(
        dataset="x.npz",
        data_dir=Path("d"),
        cache_dir=Path("c"),
        checkpoint_dir=Path("k"),
        model_dir=Path("environment"),
        model_name="n",
        num_classes=7,
        recipe=replace(RECIPES["notebook"], hidden_sizes=(30, 20), learning_rate=0.25),
        recipe_name="notebook",
        seed=5,
        resume=True,
        publish_best_on_stop=True,
        metrics_file=Path("f"),
        tensorboard_dir=Path("t"),
    )


@pytest.mark.parametrize("recipe", ["quick", "default"])
def test_augmentation_can_be_switched_on_off_and_changed(jobs: list[Job], recipe: str) -> None:
    base = RECIPES[recipe].augmentation or DEFAULT_STRENGTH
    for options, expected in [
        (["--augment"], base),
        (["--no-augment", "--shift", "3"], None),
        (["--shift", "0.5"], replace(base, shift=0.5)),
    ]:
        assert job_of(jobs, "--recipe", recipe, *options).recipe.augmentation == expected


def test_options_override_the_file_and_the_file_overrides_its_recipe(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.toml").write_text("recipe = 'best'\nepochs = 7\npatience = 2\naugmentation.shift = 1\n")
    best = RECIPES["best"]
    strength = replace(DEFAULT_STRENGTH, shift=1, noise=0.25)
    job = job_of(jobs, "--config", "x.toml", "--epochs", "3", "--noise", "0.25")
    assert job.recipe_name == "best"
    assert job.recipe == replace(best, epochs=3, patience=2, augmentation=strength)
    job = job_of(jobs, "--config", "x.toml", "--recipe", "quick", "--no-augment")
    assert job.recipe_name == "quick"
    assert job.recipe == replace(RECIPES["quick"], epochs=7, patience=2)
    assert main(["--config", "x.toml", "--seed", "5", "--print-config"]) == 0
    assert not jobs
    Path("printed.toml").write_text(capsys.readouterr().out)
    assert job_of(jobs, "--config", "printed.toml") == job_of(jobs, "--config", "x.toml")


def failure(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Run options that must fail with one line and publish nothing."""
    assert main(options) == 1
    output = capsys.readouterr()
    assert "published" not in output.out
    assert tree(Path("models")) == {}
    (line,) = output.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "expected epochs from 1 to 1,000,000, got 0"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--classes", "2"], "expected labels in 0..1, got 2"),
        (["--model-name", "../x"], "expected a model name"),
        (["--dataset", "nowhere/x.npz"], "nowhere/x.npz"),
        (["--learning-rate", "1e30"], "training diverged"),
        (["--model-dir", "toy.npz/models"], "toy.npz"),
    ],
)
def test_an_invalid_value_fails_with_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    save_npz(Path("toy.npz"))
    assert message in failure(capsys, "--dataset", "toy.npz", "--hidden-sizes", "8", *options)


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_missing_version_is_an_error(capsys: pytest.CaptureFixture[str], command: str) -> None:
    onnx = ["--onnx", "x.onnx"] if command == "export" else []
    assert "expected the folder of a version" in failure(capsys, command, "nowhere/1", *onnx)
    assert tree(Path()) == {}


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (MemoryError(), "error: out of memory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("two\nlines"), "error: two lines"),
    ],
    ids=["memory", "disk", "two lines"],
)
def test_every_failure_has_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    line: str,
) -> None:
    monkeypatch.setattr(cli, "run", Mock(side_effect=raised))
    assert main([]) == 1
    (printed,) = capsys.readouterr().err.splitlines()
    assert line in printed


def test_an_error_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run", Mock(side_effect=ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        main([])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_during_training_ends_the_process_and_publishes_nothing(
    number: signal.Signals, code: int, word: str
) -> None:
    toy = toy_problem(12_000)
    save_npz(Path("toy.npz"), images=toy.images, labels=toy.labels)
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", "--dataset", "toy.npz", "--epochs", "1000000"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch 1/") for line in process.stdout)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, f"{word}{STOP_HINT}\n")
    assert tree(Path("models")) == {}


@pytest.mark.slow
def test_evaluate_and_export_use_the_published_version(capsys: pytest.CaptureFixture[str]) -> None:
    test = toy_problem(45, seed=9)
    save_npz(Path("toy.npz"), test_images=test.images, test_labels=test.labels)
    assert main(["--dataset", "toy.npz", "--hidden-sizes", "8", "--epochs", "1"]) == 0
    trained = capsys.readouterr().out
    version = "models/toy/1"
    assert main(["evaluate", version, "--dataset", "toy.npz", "--report", "report"]) == 0
    metrics, _ = capsys.readouterr().out.splitlines()
    assert metrics.removeprefix("toy 1 on toy: ") in trained
    assert Path("report/README.md").exists()
    before = {*tree(Path())}
    assert main(["export", version, "--onnx", "toy.onnx"]) == 0
    assert {*tree(Path())} == {*before, "toy.onnx"}

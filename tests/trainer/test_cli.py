"""The command line, inside and as a process: one clear line and an exit code for every ending."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from nncore.repository import ModelRepository
from tests.support.data import idx_bytes, save_npz, toy_problem, tree
from trainer import cli
from trainer.augmentation import DEFAULT_STRENGTH
from trainer.cli import main
from trainer.job import Job
from trainer.recipe import RECIPES

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that the command line asks for, none of which runs."""
    asked: list[Job] = []
    monkeypatch.setattr(cli, "run", asked.append)
    return asked


def asked_for(jobs: list[Job], *options: str) -> Job:
    assert main(options) == 0
    return jobs[-1]


def test_without_options_the_default_recipe_is_asked_for(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CACHE_DIR")
    job = asked_for(jobs)
    assert (job.dataset, job.data_dir, job.model_dir) == ("auto", None, Path("models"))
    assert (job.model_name, job.num_classes, job.seed) == (None, None, 0)
    assert (job.recipe, job.recipe_name) == (RECIPES["default"], "default")
    assert job.cache_dir.name == "nodestack"
    assert job.cache_dir.is_absolute()
    assert job.checkpoint_dir == job.cache_dir / "checkpoints"
    assert not job.resume
    assert not job.publish_best_on_stop


def test_every_option_is_heard(jobs: list[Job]) -> None:
    job = asked_for(
        jobs,
        *("--dataset", "x.npz", "--data-dir", "d", "--cache-dir", "c", "--classes", "7"),
        *("--model-dir", "m", "--model-name", "n", "--recipe", "notebook", "--seed", "5"),
        *("--checkpoint-dir", "k", "--metrics", "f", "--tensorboard", "t"),
        *("--resume", "--publish-best-on-stop"),
    )
    assert job == Job(
        dataset="x.npz",
        data_dir=Path("d"),
        cache_dir=Path("c"),
        checkpoint_dir=Path("k"),
        model_dir=Path("m"),
        model_name="n",
        num_classes=7,
        recipe=RECIPES["notebook"],
        recipe_name="notebook",
        seed=5,
        resume=True,
        publish_best_on_stop=True,
        metrics_file=Path("f"),
        tensorboard_dir=Path("t"),
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("hidden_sizes", "30,20", (30, 20)),
        ("hidden_sizes", "30", (30,)),
        ("hidden_sizes", "", ()),
        ("momentum", "0.5", 0.5),
        ("learning_rate", "0.25", 0.25),
        ("schedule", "cosine", "cosine"),
        ("warmup", "0.125", 0.125),
        ("patience", "7", 7),
        ("batch_size", "5", 5),
        ("epochs", "3", 3),
    ],
)
def test_every_value_of_a_recipe_can_be_overridden_alone(
    jobs: list[Job], option: str, value: str, expected: object
) -> None:
    recipe = asked_for(jobs, "--recipe", "notebook", f"--{option.replace('_', '-')}", value).recipe
    assert vars(recipe) == {**vars(RECIPES["notebook"]), option: expected}


@pytest.mark.parametrize(("option", "on"), [("--augment", True), ("--no-augment", False)])
@pytest.mark.parametrize("recipe", RECIPES)
def test_augmentation_can_be_turned_on_and_off(
    jobs: list[Job], recipe: str, option: str, on: bool
) -> None:
    augmentation = asked_for(jobs, "--recipe", recipe, option).recipe.augmentation
    assert augmentation == ((RECIPES[recipe].augmentation or DEFAULT_STRENGTH) if on else None)


ENVIRONMENT = {
    "DATA_DIR": "data_dir",
    "MODEL_DIR": "model_dir",
    "CACHE_DIR": "cache_dir",
    "CHECKPOINT_DIR": "checkpoint_dir",
}


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_folders_come_from_the_environment_unless_an_option_names_them(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    member = ENVIRONMENT[variable]
    monkeypatch.delenv(variable, raising=False)
    plain = getattr(asked_for(jobs), member)
    monkeypatch.setenv(variable, "/from/the/environment")
    assert getattr(asked_for(jobs), member) == Path("/from/the/environment")
    option = f"--{member.replace('_', '-')}"
    assert getattr(asked_for(jobs, option, "by-option"), member) == Path("by-option")
    monkeypatch.setenv(variable, "")
    assert getattr(asked_for(jobs), member) == plain


@pytest.mark.parametrize(
    "options",
    [
        ["--nonsense"],
        ["--epoch", "3"],
        ["nonsense"],
        ["--epochs"],
        ["--epochs", "many"],
        ["--epochs", "1.5"],
        ["--batch-size", "x"],
        ["--learning-rate", "fast"],
        ["--hidden-sizes", "a,b"],
        ["--hidden-sizes", "8,"],
        ["--hidden-sizes", "-8"],
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--classes", "x"],
        ["--recipe", "nonsense"],
        ["--momentum", "nonsense"],
        ["--schedule", "nonsense"],
        ["--augment", "nonsense"],
        ["--shift", "nonsense"],
        ["--patience", "nonsense"],
        ["--no-shift"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_exits_with_2_and_runs_nothing(
    jobs: list[Job], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        main(options)
    assert error.value.code == 2
    assert jobs == []
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("python -m trainer: error: ")
    assert options[0] in last or options[-1] in last


def failure(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Run options that must fail with one line, publish nothing and leave nothing."""
    before = tree(Path("models"))
    assert main(options) == 1
    output = capsys.readouterr()
    assert "published" not in output.out
    (line,) = output.err.splitlines()
    assert line.startswith("error: ")
    assert tree(Path("models")) == before
    return line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "expected epochs of 1 or more, got 0"),
        (["--batch-size", "-3"], "expected batch_size of 1 or more, got -3"),
        (["--learning-rate", "0"], "expected a learning rate over 0"),
        (["--learning-rate", "nan"], "expected a learning rate over 0"),
        (["--shift", "-1"], "expected shift of 0 or more, got -1.0"),
        (["--patience", "0"], "expected patience of 1 or more, got 0"),
        (["--hidden-sizes", "8,0"], "expected hidden sizes of 1 or more"),
        (["--classes", "2"], "expected labels in 0..1, got 2"),
        (["--classes", "0"], "got 2"),
        (["--classes", "100000"], "classes, got 100000"),
        (["--model-name", "../x"], "expected a model name"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    save_npz(Path("toy.npz"))
    assert message in failure(capsys, "--dataset", "toy.npz", *options)


IMAGES, LABELS = idx_bytes(toy_problem(30).images), idx_bytes(np.arange(30, dtype=np.uint8) % 3)


@pytest.mark.parametrize("model_dir", ["a-file", "a-file/models"])
def test_a_models_folder_that_cannot_be_written_is_refused_before_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model_dir: str
) -> None:
    Path("a-file").write_text("in the way")
    monkeypatch.setenv("MODEL_DIR", model_dir)
    line = failure(capsys, "--dataset", str(save_npz(Path("toy.npz"))))
    assert "a-file" in line
    assert Path("a-file").read_text() == "in the way"


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (MemoryError(), 1, "error: expected memory enough for the data and the network"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (ValueError("two\nlines"), 1, "error: two lines"),
        (KeyboardInterrupt(), 130, "interrupted; --resume goes on after the last epoch"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_ending_has_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    line: str,
) -> None:
    def end(_job: Job) -> None:
        raise raised

    monkeypatch.setattr(cli, "run", end)
    assert main([]) == code
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told


def test_sigterm_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "run", lambda _job: signal.raise_signal(signal.SIGTERM))
    assert main([]) == 143
    assert capsys.readouterr().err == "terminated; --resume goes on after the last epoch\n"


def test_a_defect_is_not_passed_off_as_a_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_job: Job) -> None:
        raise AssertionError

    monkeypatch.setattr(cli, "run", fail)
    with pytest.raises(AssertionError):
        main([])


def environment() -> dict[str, str]:
    """The environment of a process: this project's code, and fonts that are already indexed."""
    return {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }


def start(*options: str, before_start: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    """Start the trainer as a process, in the current folder."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if before_start:
            before_start()

    return subprocess.Popen(
        [sys.executable, "-m", "trainer", "--dataset", "toy.npz", "--hidden-sizes", "8", *options],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=60)
    finally:
        process.kill()


def test_a_run_as_a_process_publishes_and_tells_it_in_plain_lines() -> None:
    save_npz(Path("toy.npz"))
    process = start("--epochs", "2")
    out, err = finish(process)
    assert process.returncode == 0, err
    lines = out.splitlines()
    assert lines[0] == "toy: 99 images to train on, 9 to validate, 12 to test; recipe default"
    assert [line.split("  ")[0] for line in lines[1:3]] == ["epoch 1/2", "epoch 2/2"]
    assert lines[3].startswith("test ")
    assert lines[4:] == ["published models/toy/1"]
    assert err == ""
    assert "\r" not in out
    assert ModelRepository("models").load("toy").manifest.version == 1


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "terminated; --resume goes on after the last epoch"),
        (signal.SIGINT, 130, "interrupted; --resume goes on after the last epoch"),
    ],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_in_the_middle_of_training_ends_it_and_leaves_nothing(
    number: signal.Signals, code: int, line: str
) -> None:
    toy = toy_problem(12_000)
    save_npz(Path("toy.npz"), images=toy.images, labels=toy.labels)
    process = start("--epochs", "1000000")
    assert process.stdout is not None
    for told in process.stdout:
        if told.startswith("epoch 1/"):
            break
    process.send_signal(number)
    out, err = finish(process)
    assert process.returncode == code
    assert err == f"{line}\n"
    assert "published" not in out
    assert tree(Path("models")) == {}


def published() -> Path:
    """Publish a small network by the command line."""
    test = toy_problem(45, seed=9)
    save_npz(Path("toy.npz"), test_images=test.images, test_labels=test.labels)
    assert main(["--dataset", "toy.npz", "--hidden-sizes", "8", "--epochs", "1"]) == 0
    return Path("models/toy/1")


def test_evaluate_measures_what_was_published(capsys: pytest.CaptureFixture[str]) -> None:
    version = published()
    told = capsys.readouterr().out
    assert main(["evaluate", str(version), "--dataset", "toy.npz", "--report", "report"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("toy 1 on toy: ")
    assert out[1:] == ["wrote report"]
    assert Path("report/README.md").exists()
    assert out[0].removeprefix("toy 1 on toy: ") in told


def test_export_writes_a_file_and_leaves_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    version = published()
    before = sorted(tree(Path()))
    Path("toy.onnx").write_bytes(b"an older one")
    assert main(["export", str(version), "--onnx", "toy.onnx"]) == 0
    size = Path("toy.onnx").stat().st_size
    assert capsys.readouterr().out.endswith(f"wrote toy.onnx, {size:,} bytes\n")
    assert sorted(tree(Path())) == sorted([*before, "toy.onnx"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "nowhere/mnist/1"],
        ["export", "nowhere/mnist/1", "--onnx", "x.onnx"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_version_that_is_not_there_is_said_to_be_missing(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert "expected the folder of a version" in failure(capsys, *arguments)
    assert tree(Path()) == {}


FULL_DISK = """
mount -t tmpfs -o size=32k tmpfs models || exit 77
"$@"
code=$?
find models -mindepth 1
exit $code
"""


def test_a_full_disk_ends_the_run_and_leaves_nothing() -> None:
    if not shutil.which("unshare"):
        pytest.skip("no unshare to mount a small disk with")
    save_npz(Path("toy.npz"))
    Path("models").mkdir()
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh"),
            *(sys.executable, "-m", "trainer", "--dataset", "toy.npz"),
            *("--hidden-sizes", "1000", "--epochs", "1"),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip("mounting a small disk is not permitted")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "published" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("epoch 1/1")

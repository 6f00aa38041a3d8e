"""README, CONTRIBUTING and docs: links lead somewhere, and what is shown is what happens."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml

from nncore.repository import ModelRepository
from service.settings import Settings
from tests.support.data import save_npz, small_mnist
from tests.support.server import ROOT, Service, launched, serve, wait_until

DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
TEXTS = {document: document.read_text() for document in DOCUMENTS}
CI = "\n".join(file.read_text() for file in sorted((ROOT / ".ci").glob("*")))
ADDRESS = "127.0.0.1:8000"
# Tests run in parallel; the threads of several programs would wait for each other's cores.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
# The language and the text of each block of code.
BLOCKS = [
    block
    for text in TEXTS.values()
    for block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
]
SCRIPTS = [text for language, text in BLOCKS if language == "sh"]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
COMMANDS = sorted(
    {line for script in SCRIPTS for line in script.splitlines()}.union(
        *(re.findall(r"`((?:docker|make|nodestack|pip) [^`]+)`", text) for text in TEXTS.values())
    )
)
AS_NODESTACK = {re.sub('^make train ARGS="?([^"]+)"?', r"nodestack train \1", c) for c in COMMANDS}
TRAINERS = sorted(c for c in AS_NODESTACK if re.match("nodestack (train|evaluate|export) ", c))
# test_make_run_serves runs `make run`. CI runs bench, fuzz and stress in a short form only: in full
# they take more than an hour.
OTHERS = [c for c in COMMANDS if re.match("docker|pip|nodestack serve|make (?!train |run)", c)]
# A request, and the response that is shown below it.
EXCHANGES = [
    (text, shown if language == "json" else None)
    for (_, text), (language, shown) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True)
    if text.startswith("curl ")
]


def headings(text: str) -> set[str]:
    titles = re.findall("^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[document]):
        file, _, heading = target.partition("#")
        linked = document.parent / file if file else document
        assert linked.exists(), target
        assert not heading or heading in headings(TEXTS[linked.resolve()]), target


def test_every_formula_has_a_test() -> None:
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", TEXTS[ROOT / "docs" / "backpropagation.md"]):
        assert f"def {name}(" in tests


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serve(tmp_path_factory.mktemp("service"), workers=1) as service:
        yield service


def check_like(shown: Any, got: Any) -> None:
    """Compare responses, except for request ids and the last digits of numbers."""
    if isinstance(shown, dict):
        assert shown.keys() == got.keys()
        for name in shown.keys() - {"request_id"}:
            check_like(shown[name], got[name])
    elif isinstance(shown, list):
        assert len(shown) == len(got)
        for one, other in zip(shown, got, strict=True):
            check_like(one, other)
    else:
        assert got == (pytest.approx(shown, 1e-3, 1e-7) if isinstance(shown, float) else shown)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(("request_", "shown"), EXCHANGES)
def test_a_request_gets_the_response_that_is_shown(
    service: Service, request_: str, shown: str | None
) -> None:
    command = request_.replace(ADDRESS, f"127.0.0.1:{service.port}")
    # Some of the responses that are shown are errors.
    command = command.replace("curl ", "curl --silent " if shown else "curl --silent --fail ")
    output = subprocess.check_output(["sh", "-ec", command], cwd=ROOT)
    if shown:
        check_like(json.loads(shown), json.loads(output))


@pytest.mark.parametrize(
    "program",
    [pytest.param(p, marks=[pytest.mark.slow] if "DATA_DIR" in p else []) for p in PROGRAMS],
)
def test_a_program_runs(service: Service, program: str) -> None:
    if "DATA_DIR" in program and not os.environ.get("DATA_DIR"):
        pytest.skip("needs MNIST in DATA_DIR")
    program = program.replace(ADDRESS, f"127.0.0.1:{service.port}")
    environment = {**os.environ, **ONE_THREAD}
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env=environment)


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """A folder with the included model and the data sets that the commands name."""
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "fashion").mkdir()
    for name, content in small_mnist().contents.items():
        (tmp_path / "fashion" / name).write_bytes(content)
    save_npz(tmp_path / "letters.npz")
    (recipe,) = (text for language, text in BLOCKS if language == "toml")
    (tmp_path / "recipe.toml").write_text(recipe)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAINERS)
def test_a_command_of_the_trainer_runs(workshop: Path, command: str) -> None:
    if not re.search("--dataset|--help|export", command) and not os.environ.get("DATA_DIR"):
        pytest.skip("needs MNIST in DATA_DIR")
    command = command.replace("--recipe distilled", "--recipe distilled --epochs 1")
    own = {"PYTHONPATH": str(ROOT), "CACHE_DIR": str(workshop / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=workshop,
        env={**os.environ, **ONE_THREAD, **own},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for file in re.findall(r"--(?:onnx|report|metrics|tensorboard) (\S+)", command):
        assert (workshop / file).exists()


def test_a_version_is_removed_and_published_by_hand(workshop: Path) -> None:
    repository = ModelRepository(workshop / "models")
    remove, publish = (script for script in SCRIPTS if "mv " in script)
    subprocess.run(["sh", "-ec", remove], cwd=workshop, check=True)
    assert repository.versions("mnist") == []
    subprocess.run(["sh", "-ec", publish], cwd=workshop, check=True)
    assert repository.load("mnist").manifest.version == 1


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="needs the .venv of make")
def test_make_run_serves(tmp_path: Path) -> None:
    # Without the options of a make that runs the tests.
    variables = {"PORT": "{port}", "WEB_CONCURRENCY": "1", "MAKEFLAGS": "", "ARGS": ""}
    with launched(["make", "run"], tmp_path / "log", variables) as service:
        wait_until(lambda: service.answers("/health"), "make run serves")


@pytest.mark.skipif(not CI, reason="needs the steps of CI, which the container does not have")
@pytest.mark.parametrize("command", OTHERS)
def test_another_command_is_run_by_ci(command: str) -> None:
    program, target, *_ = command.split()
    if program == "make":
        assert target in " ".join(re.findall(r"\bmake ([a-z -]+)", CI)).split()
    else:
        assert command in CI


def settings_of_the_service() -> set[str]:
    """Return the names of the environment variables that the service reads."""
    environ = Mock(get=Mock(side_effect=lambda name, default=None: default))
    Settings.from_environment(environ)
    return {call.args[0] for call in environ.get.call_args_list} - {""}


def test_every_setting_is_documented() -> None:
    documented = re.findall(r"`([A-Z_]+)`", TEXTS[ROOT / "docs" / "settings.md"])
    assert settings_of_the_service() <= set(documented)


def test_every_setting_reaches_the_container() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    # The image or the file itself sets these.
    own = {"HOST", "PORT", "MODEL_DIR"}
    assert set(services["service"]["environment"]) == settings_of_the_service() - own

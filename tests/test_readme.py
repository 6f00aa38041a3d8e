"""What the documents say is so: links lead somewhere, commands run, answers are those shown."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.data import save_npz, small_mnist
from tests.support.server import Service, running, wait_until

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_ADDRESS = "http://127.0.0.1:8000"


class Block(NamedTuple):
    """A block of code: its language, and its text."""

    language: str
    text: str


def blocks_of(document: Path) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(*block) for block in found]


def lines_of(document: Path) -> list[str]:
    """The lines of the blocks that are commands."""
    return [
        line
        for block in blocks_of(document)
        if not block.language
        for line in block.text.splitlines()
    ]


BLOCKS = blocks_of(README)
# Those that stand in the text of the README.
IN_TEXT = sorted(
    set(re.findall(r"`((?:make|docker|python|curl|pip|sh) [^`]+)`", README.read_text()))
    | set(re.findall(r"`([A-Z_]+=\S+ [a-z][^`]*)`", README.read_text()))
)
COMMANDS = sorted({line for document in DOCUMENTS for line in lines_of(document)} | {*IN_TEXT})
# What `make train` hands to the trainer.
TRAINERS = [
    " ".join(re.findall(r'ARGS="?([^"]*)', line))
    for line in COMMANDS
    if line.startswith("make train")
]
# A request, and the answer that is shown below it.
EXCHANGES = [
    (block.text, after.text if after.language == "json" else None)
    for block, after in zip(BLOCKS, [*BLOCKS[1:], Block("", "")], strict=True)
    if block.text.startswith("curl ")
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("log") / "log"
    with running(ROOT / "models", log, {"WEB_CONCURRENCY": "1"}) as service:
        yield service


def check_like(shown: Any, got: Any) -> None:
    """Check an answer, but for its request's id and the last digits of its numbers."""
    if isinstance(shown, dict):
        assert list(shown) == list(got)
        for name in shown.keys() - {"request_id"}:
            check_like(shown[name], got[name])
    elif isinstance(shown, list):
        assert len(shown) == len(got)
        for one, other in zip(shown, got, strict=True):
            check_like(one, other)
    elif isinstance(shown, float):
        assert got == pytest.approx(shown, rel=1e-3, abs=1e-7)
    else:
        assert got == shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if not target.startswith(("http", "#")):
            assert (document.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_heading_that_is_linked_is_there(document: Path) -> None:
    for file, heading in re.findall(r"\]\(([^)#]*)#([^)]+)\)", document.read_text()):
        linked = (document.parent / file if file else document).read_text()
        titles = re.findall(r"^#+ (.+)$", linked, re.MULTILINE)
        assert heading in [re.sub(r"[^\w-]", "", t.lower().replace(" ", "-")) for t in titles]


def test_there_is_something_to_run() -> None:
    assert len(EXCHANGES) >= 3
    assert sum(answer is not None for _, answer in EXCHANGES) >= 2


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not there")
@pytest.mark.parametrize(("command", "answer"), EXCHANGES)
def test_a_request_gets_the_answer_that_is_shown(
    service: Service, command: str, answer: str | None
) -> None:
    command = command.replace(_ADDRESS, f"http://127.0.0.1:{service.port}")
    output = subprocess.check_output(
        ["sh", "-c", command], cwd=ROOT, stderr=subprocess.DEVNULL, text=True
    )
    document = json.loads(output)
    if answer is None:
        assert document["predictions"][0]["label"] == 5
    else:
        check_like(json.loads(answer), document)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"])
def test_a_program_runs(service: Service, block: Block) -> None:
    program = block.text.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT)


@pytest.mark.parametrize("command", [line for line in COMMANDS if "make " in line])
def test_a_make_target_is_there(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    target = re.search(r"make ([a-z]+)", command)
    assert target
    assert f"\n{target[1]}:" in makefile


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the trainer's commands name, beside the shipped model."""
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copytree(ROOT / "models", folder / "models")
    idx = folder / "path" / "to" / "folder-of-idx-files"
    idx.mkdir(parents=True)
    for name, content in small_mnist().contents.items():
        (idx / name).write_bytes(content)
    save_npz(folder / "letters.npz")
    return folder


@pytest.mark.parametrize("arguments", TRAINERS)
def test_a_trainers_command_runs(workshop: Path, arguments: str) -> None:
    needs_none = {"--dataset", "export", "--help"} & set(arguments.split())
    if not needs_none and not os.environ.get("DATA_DIR"):
        pytest.skip("needs MNIST in DATA_DIR")
    command = [sys.executable, "-m", "trainer", *shlex.split(arguments)]
    own = {"PYTHONPATH": str(ROOT), "CACHE_DIR": str(workshop / "cache")}
    done = subprocess.run(
        command, cwd=workshop, env={**os.environ, **own}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for file in re.findall(r"--(?:onnx|report) (\S+)", arguments):
        assert (workshop / file).exists()


MAKE = pytest.mark.skipif(
    not shutil.which("make") or not (ROOT / ".venv").exists(), reason="make's .venv is not there"
)


@MAKE
def test_make_run_serves() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["make", "run"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "WEB_CONCURRENCY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        service = Service(process, port, Path(os.devnull))
        wait_until(service.is_live, "make run to serve")
        assert service.ask("/health")[0] == 200
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@MAKE
def test_make_extras_installs() -> None:
    subprocess.run(["make", "extras"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", [line for line in lines_of(README) if "docker" in line])
def test_a_command_of_containers_is_one_that_ci_runs(command: str) -> None:
    steps = ROOT / ".ci" / "containers"
    if not steps.exists():
        pytest.skip("the steps of CI are not in the container")
    assert command in [line.strip() for line in steps.read_text().splitlines()]


RUN_ELSEWHERE = {
    "docker compose restart service": ("benchmarks/chaos/container.py", '"restart", "service"'),
    "python -m examples.linear_regression": ("tests/test_examples.py", "linear_regression"),
}


@pytest.mark.parametrize("command", IN_TEXT)
def test_a_command_in_the_text_is_run_too(command: str) -> None:
    if command in RUN_ELSEWHERE:
        file, words = RUN_ELSEWHERE[command]
        assert words in (ROOT / file).read_text()
    elif not command.startswith("make train"):
        steps = [ROOT / ".ci" / "run", Path(__file__)]
        if not steps[0].exists():
            pytest.skip("the steps of CI are not in the container")
        words = json.dumps(command.split())
        assert any(command in file.read_text() or words in file.read_text() for file in steps)


def settings_of_the_service() -> set[str]:
    """Return the environment variables that the service reads."""
    source = (ROOT / "service" / "settings.py").read_text()
    return set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', source))


def test_every_setting_is_in_the_table() -> None:
    documented = set(re.findall(r"`([A-Z_]+)`", README.read_text()))
    assert settings_of_the_service() <= documented


def test_every_setting_reaches_the_container() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    service = compose[compose.index("\n  service:") : compose.index("\n  trainer:")]
    passed = set(re.findall(r"^      - ([A-Z_]+)$", service, re.MULTILINE))
    # The image or the file itself sets these.
    own = {"HOST", "PORT", "MODEL_DIR"}
    assert passed == settings_of_the_service() - own

"""The command `nodestack`, and the wheel that installs it."""

import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import nodestack
from service.version import VERSION
from tests.support.server import ROOT, launched, wait_until

COMMANDS = ("serve", "train", "evaluate", "export")
PACKAGES = ("nncore", "service", "trainer")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_a_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    for arguments in (["--help"], [command, "--help"]):
        with pytest.raises(SystemExit, match=r"^0$"):
            nodestack.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.split()[:1] == [command]]) == 1
    assert any(line.startswith(f"usage: nodestack {command} ") for line in lines)


@pytest.mark.parametrize("arguments", [[], ["predict"], ["--dataset", "synthetic"]])
def test_a_missing_or_unknown_command_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        nodestack.main(arguments)


def test_the_exit_code_is_that_of_the_command(tmp_path: Path) -> None:
    assert nodestack.main(["evaluate", str(tmp_path / "absent" / "1")]) == 1


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_without_the_extra_a_command_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "trainer"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert nodestack.main([command]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install '.[trainer]'" in error


def test_the_project_and_the_images_have_one_version() -> None:
    assert PROJECT["version"] == VERSION
    assert f'org.opencontainers.image.version="{VERSION}"' in (ROOT / "Dockerfile").read_text()
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, without network."""
    folder = tmp_path_factory.mktemp("project")
    for package in PACKAGES:
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=without)
    for file in ("nodestack.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder)
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    expected = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    files = set(zipfile.ZipFile(wheel).namelist())
    assert expected | {"nodestack.py"} == {file for file in files if ".dist-info/" not in file}
    assert any(file.endswith(".dist-info/licenses/LICENSE") for file in files)


@pytest.mark.slow
def test_nodestack_serves_where_only_the_wheel_is_installed(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / "bin"
    # The hashed versions of the service are what a plain `pip install .` resolves to.
    locked = ["--requirement", str(ROOT / "requirements" / "service.txt")]
    pip = [str(scripts / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, *locked]).returncode:
        pytest.skip("needs the package index")
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    own = {"PORT": "{port}", "MODEL_DIR": str(ROOT / "models"), "WEB_CONCURRENCY": "1"}
    command = [str(scripts / "nodestack"), "serve"]
    with launched(command, tmp_path / "log", own, tmp_path) as service:
        wait_until(lambda: service.answers("/health/live"), "nodestack serve answers")
        assert service.ask("/predict", {"pixels": [[0] * 784]})[0] == 200
        for path in ("/docs", "/openapi.json", "/page/base.css"):
            assert service.send(path)[0] == 200
    train = subprocess.run([scripts / "nodestack", "train"], capture_output=True, text=True)
    assert train.returncode == 1
    assert "pip install '.[trainer]'" in train.stderr

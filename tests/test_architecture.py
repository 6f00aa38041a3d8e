"""The rooms of the house and the arrows between them."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nncore

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "nncore": set[str](),
    "trainer": {"nncore"},
    "service": {"nncore"},
    "examples": {"nncore"},
}
FOLDERS = sorted(
    {
        file.parent
        for room in (*MAY_IMPORT, "benchmarks", "tests")
        for file in (ROOT / room).rglob("*.py")
    }
)
TRAINER_ONLY = {
    *("matplotlib", "onnx", "platformdirs", "requests", "tensorboardX", "tqdm", "urllib3")
}


def imported_packages(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            modules.add(node.module or "")
    return {module.split(".")[0] for module in modules}


def python_files(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    return files


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_the_rooms_it_may(package: str) -> None:
    others = {"nncore", "trainer", "service", "tests", "benchmarks", "examples"} - {package}
    for file in python_files(package):
        assert imported_packages(file) & others <= MAY_IMPORT[package], file


def test_the_network_needs_numpy_only() -> None:
    for file in python_files("nncore"):
        foreign = imported_packages(file) - set(sys.stdlib_module_names) - {"nncore"}
        weights_format = {"safetensors"} if file.parent.name == "repository" else set()
        assert foreign <= {"numpy"} | weights_format, file


def test_the_network_imports_without_files_and_locks() -> None:
    program = "import sys; sys.modules['fcntl'] = None; import nncore; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).split()
    assert "nncore.model" in modules
    assert "nncore.repository" not in modules


def test_the_service_needs_nothing_that_only_the_trainer_has() -> None:
    for file in python_files("service"):
        assert not imported_packages(file) & TRAINER_ONLY, file


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_file_says_what_it_is_for(package: str) -> None:
    for file in python_files(package):
        assert ast.get_docstring(ast.parse(file.read_text())), file


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_folder_says_what_it_is_for_in_two_sentences(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert len(re.findall(r"[.:;](?:\s|$)", text)) >= 2, folder


def public_functions() -> Iterator[tuple[str, Callable[..., object], str]]:
    """Every public function and method of the network, and the docstrings that are about it."""
    for name in nncore.__all__:
        value = getattr(nncore, name)
        if inspect.isfunction(value):
            yield name, value, inspect.getdoc(value) or ""
        elif inspect.isclass(value):
            assert inspect.getdoc(value), name
            for at, method in inspect.getmembers(value, inspect.isfunction):
                if not at.startswith("_") and method.__module__.startswith("nncore"):
                    own = inspect.getdoc(method)
                    assert own, f"{name}.{at}"
                    yield f"{name}.{at}", method, f"{own}\n{inspect.getdoc(value)}"


@pytest.mark.parametrize(("name", "function", "text"), list(public_functions()))
def test_whatever_takes_or_gives_arrays_tells_their_shapes(
    name: str, function: Callable[..., object], text: str
) -> None:
    annotations = str(inspect.signature(function))
    if "Array" in annotations or "ndarray" in annotations:
        assert re.search(r"`\(\w.*?\)`|shape", text), name

"""The rooms of the house and the arrows between them."""

import ast
import inspect
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
NNCORE_NEEDS = {"numpy", "safetensors"}
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


def test_the_network_needs_numpy_and_the_weight_format_only() -> None:
    import sys

    for file in python_files("nncore"):
        foreign = imported_packages(file) - set(sys.stdlib_module_names) - {"nncore"}
        assert foreign <= NNCORE_NEEDS, file


def test_the_service_needs_nothing_that_only_the_trainer_has() -> None:
    for file in python_files("service"):
        assert not imported_packages(file) & TRAINER_ONLY, file


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_file_says_what_it_is_for(package: str) -> None:
    for file in python_files(package):
        assert ast.get_docstring(ast.parse(file.read_text())), file


def test_every_public_name_of_the_network_says_what_it_does() -> None:
    for name in nncore.__all__:
        value = getattr(nncore, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name

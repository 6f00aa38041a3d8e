"""The packages and the imports between them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

MAY_IMPORT = {
    "nncore": set[str](),
    "trainer": {"nncore"},
    "service": {"nncore"},
    "examples": {"nncore"},
    "nodestack": {"service", "trainer"},
    "benchmarks": {"nncore", "service", "tests.support", "trainer"},
}
TRAINER_ONLY = {
    *("matplotlib", "onnx", "platformdirs", "requests", "tensorboardX", "tqdm", "urllib3")
}


def imported_modules(file: Path) -> set[str]:
    """Return the imported modules, and for `from a import b` also `a.b`."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def imported_packages(file: Path) -> set[str]:
    return {module.split(".")[0] for module in imported_modules(file)}


def python_files(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py")) or [ROOT / f"{package}.py"]
    assert all(file.exists() for file in files)
    return files


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = {package, *MAY_IMPORT[package]}
    for file in python_files(package):
        for module in imported_modules(file):
            if module.split(".")[0] in {*MAY_IMPORT, "tests"}:
                assert any(f"{module}.".startswith(f"{name}.") for name in allowed), (file, module)


def test_nncore_imports_numpy_only() -> None:
    for file in python_files("nncore"):
        foreign = imported_packages(file) - set(sys.stdlib_module_names) - {"nncore"}
        weights_format = {"safetensors"} if file.parent.name == "repository" else set()
        assert foreign <= {"numpy"} | weights_format, file


def test_nncore_imports_where_fcntl_is_missing() -> None:
    program = "import sys; sys.modules['fcntl'] = None; import nncore; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).split()
    assert "nncore.model" in modules
    assert "nncore.repository" not in modules


def test_the_service_imports_no_package_of_the_trainer() -> None:
    for file in python_files("service"):
        assert not imported_packages(file) & TRAINER_ONLY, file

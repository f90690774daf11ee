from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import windtunnel

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "windtunnel"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Rooms that must work on the base install, which has no torch (design, section 3).
WITHOUT_TORCH = [
    "windtunnel",
    "windtunnel.cli",
    "windtunnel.data",
    "windtunnel.errors",
    "windtunnel.files",
    "windtunnel.laws",
    "windtunnel.report",
    "windtunnel.scale",
    "windtunnel.schedules",
    "windtunnel.search",
    "windtunnel.spec",
]


def modules(package: str) -> list[str]:
    """The package and everything below it, but for search's executors, which train."""
    path = SOURCE.joinpath(*package.split(".")[1:])
    if not path.is_dir() or package == "windtunnel":
        return [package]
    files = sorted(file.relative_to(SOURCE.parent) for file in path.rglob("*.py"))
    names = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [name for name in names if not name.startswith("windtunnel.search.executors")]


def in_a_new_python(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_version_is_the_projects() -> None:
    assert windtunnel.__version__ == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_importing_it_imports_nothing_heavy() -> None:
    loaded = in_a_new_python("import sys, windtunnel; print(*sys.modules)").split()
    assert not {"torch", "numpy", "scipy", "matplotlib", "pydantic", "sqlalchemy"} & set(loaded)


def test_every_exported_name_is_there_when_asked_for() -> None:
    pytest.importorskip("torch")
    assert set(windtunnel.__all__) <= set(dir(windtunnel))
    for name in windtunnel.__all__:
        value = getattr(windtunnel, name)
        if name != "__version__":
            assert value.__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'plann'"):
        _ = windtunnel.plann


def test_the_base_rooms_import_without_torch() -> None:
    names = [name for package in WITHOUT_TORCH for name in modules(package)]
    in_a_new_python(
        "import importlib, sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'safetensors'):\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
    )


def requirement_names(requirements: list[str]) -> set[str]:
    return {requirement.split(">=")[0].lower() for requirement in requirements}


def test_everything_imported_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    optional = [name for key, names in extras.items() if key != "dev" for name in names]
    declared = requirement_names(PROJECT["dependencies"] + optional)
    imported = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    ours = {"windtunnel"} | set(sys.stdlib_module_names)
    named = {"mlflow": "mlflow-skinny", "yaml": "pyyaml"}
    distributions = {named.get(name, name) for name in imported - ours}
    assert distributions <= declared


def test_torch_has_no_bound() -> None:
    assert "torch" in PROJECT["optional-dependencies"]["train"]
    assert not any("torch" in requirement for requirement in PROJECT["dependencies"])

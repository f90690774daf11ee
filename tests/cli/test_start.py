"""Beginning a study, and what the command line loads to begin at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import windtunnel as package

Windtunnel = Callable[..., Any]
SOURCE = Path(package.__file__).parents[1]


def test_init_writes_a_study_once(windtunnel: Windtunnel, tmp_path: Path) -> None:
    made = windtunnel("init", tmp_path / "new", "--json")
    assert made.code == 0
    assert made.json == {"study": str(tmp_path / "new" / "study.yaml")}
    again = windtunnel("init", tmp_path / "new")
    assert again.code == 2
    assert "exists already" in again.errors


def test_init_in_the_folder_of_a_file_is_one_line(windtunnel: Windtunnel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = windtunnel("init", tmp_path / "file")
    assert ended.code == 2
    assert ended.errors.count("\n") == 1


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import os, sys\n"
        "from windtunnel import cli\n"
        "def leave(code):\n"
        "    heavy = {'torch', 'numpy', 'scipy', 'pydantic', 'sqlalchemy', 'matplotlib', 'yaml'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)), 'code:', code)\n"
        "os._exit = leave\n"
        "sys.argv = ['windtunnel', '--help']\n"
        "cli.main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert "Usage:" in ended.stdout
    assert ended.stdout.rstrip().endswith("heavy: [] code: 0")

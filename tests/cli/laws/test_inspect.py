"""`windtunnel laws inspect` as a person uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import windtunnel as package

Windtunnel = Callable[..., Any]
TEXT = """\
name,N (M),tokens,C4 loss,Pile loss,mix
a,100,2B,3.5,3.1,x
b,200,4B,3.2,2.9,x
c,400,8B,3.0,2.7,y
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "my runs.csv"
    path.write_text(TEXT)
    return path


def test_it_asks_and_takes_the_answer(windtunnel: Windtunnel, runs: Path) -> None:
    asked = windtunnel("laws", "inspect", runs)
    assert (asked.code, asked.output) == (2, "")
    assert asked.errors.count("\n") == 1
    assert '--columns loss="C4 loss"' in asked.errors
    answered = windtunnel("laws", "inspect", runs, "--columns", "loss=C4 loss", "--where", "mix==x")
    assert answered.code == 0
    assert "3.20" in answered.output
    next_command = answered.output.splitlines()[-1]
    assert next_command == (
        f"Next: windtunnel laws fit '{runs}' --columns 'loss=C4 loss' --where mix==x"
    )


def test_json(windtunnel: Windtunnel, runs: Path) -> None:
    options = ["--columns", "loss=Pile loss", "--target", "params=4B,tokens=80B", "--json"]
    found = windtunnel("laws", "inspect", runs, *options).json
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["params"]["high"] == 4e8
    assert columns["params"]["ratio"] == pytest.approx(10)
    assert columns["loss"]["heading"] == "Pile loss"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", "C4 loss"], "--columns: 'C4 loss' is not NAME=HEADING"),
        (["--columns", "loss=C4 loss", "--where", "loss<"], "--where, position 6"),
        (["--columns", "loss=C4 loss", "--target", "params=big"], "params: 'big' is not a number"),
        (["--columns", "loss=C4 loss", "--target", "experts=8"], "the target gives experts"),
    ],
)
def test_wrong_options_are_one_line(
    windtunnel: Windtunnel, runs: Path, options: list[str], words: str
) -> None:
    ended = windtunnel("laws", "inspect", runs, *options)
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors
    assert ended.errors.count("\n") == 1


def test_it_needs_neither_torch_nor_pyarrow(runs: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'pyarrow', 'pandas', 'polars'):\n"
        "    sys.modules[name] = None\n"
        f"runs = {str(runs)!r}\n"
        "sys.argv = ['windtunnel', 'laws', 'inspect', runs, '--columns', 'loss=C4 loss']\n"
        "from windtunnel.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Next: windtunnel laws fit" in ended.stdout

"""Input that is wrong: one line, exit code 2, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Windtunnel = Callable[..., Any]

WRONG = {
    "unknown key": ("batch: 64", "batch: 64, momentum: 0.9", "recipe.momentum"),
    "wrong unit": ("depth: 1, tokens: 1536", "depth: 1, images: 1536", "target.images"),
    "no amount": ("tokens: 1536", "tokens: many", "target.tokens"),
    "empty ladder": ("width: [8, 16]", "width: []", "ladder.width"),
    "target below the ladder": ("target: {width: 32", "target: {width: 8", "target.width"),
    "missing data": ("text.jsonl", "gone.jsonl", "data.source"),
    "unknown family": ("name: gpt", "name: resnet", "family"),
    "unknown option": ("head_size: 8", "head_sise: 8", "head_sise"),
    "unknown rule": ("name: tiny", "name: tiny\nrule: mupp", "rule"),
    "unknown optimizer": ("name: tiny", "name: tiny\noptimizer: adam", "optimizer"),
    "width that no head fits": ("width: [8, 16]", "width: [8, 20]", "width"),
    "own command": ("family: {name: gpt, options: {head_size: 8}}", "run: python x.py", "run"),
}


@pytest.mark.parametrize("command", ["run", "tune", "check", "explain", "report"])
@pytest.mark.parametrize("wrong", WRONG)
def test_bad_input_is_one_line_with_the_fields_path_and_writes_nothing(
    folder: Path, windtunnel: Windtunnel, wrong: str, command: str
) -> None:
    right, mistake, place = WRONG[wrong]
    file = folder / "study.yaml"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, mistake))
    ended = windtunnel(command, folder)
    assert ended.code == 2
    assert ended.output == ""
    assert ended.errors.startswith("windtunnel: ")
    assert ended.errors.count("\n") == 1, ended.errors
    assert place in ended.errors
    assert [path.name for path in folder.iterdir()] == ["study.yaml"]


@pytest.mark.parametrize("step", ["transfer", "fit", "forecast", "train"])
def test_a_step_too_early_names_the_command_to_run_first(
    folder: Path, windtunnel: Windtunnel, step: str
) -> None:
    ended = windtunnel(step, folder)
    first = {"transfer": "tune", "fit": "tune", "forecast": "fit", "train": "forecast"}[step]
    assert ended.code == 2
    assert f"windtunnel {first} " in ended.errors
    assert ended.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "--time", "soon"], "--time: 'soon'"),
        (["explain", "--scale", "width=-4"], "--scale width"),
        (["explain", "--scale", "height=4"], "no axis 'height'"),
        (["check", "--rule", "mupp"], "mupp"),
        (["tune", "--fast"], "--fast"),
    ],
)
def test_wrong_options_are_one_line(
    folder: Path, windtunnel: Windtunnel, arguments: list[str], words: str
) -> None:
    command, *options = arguments
    ended = windtunnel(command, folder, *options)
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors
    assert ended.errors.count("\n") == 1, ended.errors


def test_a_study_that_is_not_there(windtunnel: Windtunnel, tmp_path: Path) -> None:
    ended = windtunnel("run", tmp_path / "nowhere")
    assert ended.code == 2
    assert "windtunnel init" in ended.errors
    assert not (tmp_path / "nowhere").exists()


def test_a_real_process_ends_with_code_2_and_one_line(command_line: Any, tmp_path: Path) -> None:
    ended = command_line.run("run", tmp_path / "nowhere", "--json")
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors.count("\n") == 1

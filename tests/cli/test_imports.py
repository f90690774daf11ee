"""Runs paid for elsewhere, from the command line."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Windtunnel = Callable[..., Any]


def write_table(path: Path, slope: float, heading: str = "dim,opt.lr,val") -> Path:
    lines = [heading]
    for octave, width in enumerate((128, 256, 512)):
        for k in range(-5, 6):
            lr = 2.0 ** (-6 + slope * octave + k / 2)
            wobble = 0.002 * math.sin(7 * k + octave)
            lines.append(f"{width},{lr!r},{3 - 0.2 * octave + 0.05 * (k / 2) ** 2 + wobble!r}")
    path.write_text("\n".join(lines))
    return path


NAMES = ("--columns", "width=dim,lr=opt.lr,loss=val")


@pytest.mark.parametrize(("slope", "verdict", "code"), [(0, "transfers", 0), (-1, "drifts", 3)])
def test_a_table_gets_the_studys_verdict_and_exit_code(
    windtunnel: Windtunnel, tmp_path: Path, slope: float, verdict: str, code: int
) -> None:
    runs = write_table(tmp_path / "runs.csv", slope)
    ended = windtunnel("transfer", runs, *NAMES, "--json")
    assert (ended.code, ended.json["verdict"]) == (code, verdict)
    low, high = ended.json["slope_ci90"]
    assert low < slope < high
    words = windtunnel("transfer", runs, *NAMES, "--plot", tmp_path / "out.svg")
    assert words.code == code and "the optimum moves by" in words.output
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


def test_a_column_that_is_not_there_is_one_line(windtunnel: Windtunnel, tmp_path: Path) -> None:
    runs = write_table(tmp_path / "runs.csv", 0)
    ended = windtunnel("transfer", runs, "--columns", "width=with")
    assert (ended.code, ended.output) == (2, "")
    assert "there is no column 'with' to take as width" in ended.errors
    assert ended.errors.count("\n") == 1


def test_what_is_neither_study_nor_table(windtunnel: Windtunnel, tmp_path: Path) -> None:
    ended = windtunnel("transfer", tmp_path / "gone.csv")
    assert ended.code == 2 and "no such study" in ended.errors


def test_options_of_tables_are_refused_for_studies(windtunnel: Windtunnel, folder: Path) -> None:
    ended = windtunnel("transfer", folder, *NAMES)
    assert ended.code == 2 and "--columns is for a table of runs" in ended.errors


def test_verify_names_the_command_to_run_first(windtunnel: Windtunnel, folder: Path) -> None:
    ended = windtunnel("verify", folder)
    assert ended.code == 2 and "windtunnel forecast" in ended.errors


def test_runs_are_imported_once_and_judged(
    windtunnel: Windtunnel, folder: Path, tmp_path: Path
) -> None:
    rows = ["width,tokens,lr,loss"]
    for width in (8, 16):
        for k in range(-4, 5):
            rows.append(f"{width},512,{2.0 ** (-5 + k / 2)!r},{3 + 0.05 * (k / 2) ** 2!r}")
    table = tmp_path / "runs.csv"
    table.write_text("\n".join(rows))
    first = windtunnel("runs", "import", folder, table)
    assert first.code == 0 and "18 runs from" in first.output
    assert f"windtunnel transfer {folder}" in first.output
    again = windtunnel("runs", "import", folder, table, "--json")
    assert (again.json["added"], again.json["known"], again.json["runs"]) == (0, 18, 18)
    judged = windtunnel("transfer", folder, "--json")
    assert judged.json["axes"][0]["varied"] == [8, 16]


def test_a_row_of_another_rule_is_one_line_with_its_number(
    windtunnel: Windtunnel, folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("width,tokens,lr,loss,rule\n8,512,0.01,3,mup\n8,512,0.02,3,ntk\n")
    ended = windtunnel("runs", "import", folder, table)
    assert (ended.code, ended.output) == (2, "")
    assert "runs.csv, line 3: the run is under the rule 'ntk'" in ended.errors
    assert ended.errors.count("\n") == 1


def test_an_optuna_storage_goes_in_and_comes_out(
    windtunnel: Windtunnel, folder: Path, tmp_path: Path
) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    theirs = optuna.create_study(storage=url, study_name="theirs")
    for width in (8, 16):
        for k in range(-3, 4):
            trial = theirs.ask(
                {
                    "width": optuna.distributions.IntDistribution(width, width),
                    "tokens": optuna.distributions.IntDistribution(512, 512),
                    "lr": optuna.distributions.FloatDistribution(*[2.0 ** (-5 + k / 2)] * 2),
                }
            )
            theirs.tell(trial, 3 + 0.05 * (k / 2) ** 2)
    into = windtunnel("runs", "import", folder, f"optuna:{url}", "--json")
    assert into.code == 0 and into.json["added"] == 14
    judged = windtunnel("transfer", f"optuna:{url}", "--json")
    assert judged.json["axes"][0]["varied"] == [8, 16]
    ours = f"optuna:sqlite:///{tmp_path / 'ours.db'}"
    assert windtunnel("runs", "export", folder, ours, "--json").json["added"] == 14
    again = windtunnel("runs", "export", folder, ours)
    assert again.output.startswith("0 runs added to 'tiny'")


def test_export_of_nothing_names_the_command(windtunnel: Windtunnel, folder: Path) -> None:
    ended = windtunnel("runs", "export", folder, "optuna:sqlite:///x.db")
    assert ended.code == 2 and "windtunnel tune" in ended.errors

"""Fitting, forecasting and back-testing as a person uses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Windtunnel = Callable[..., Any]
TARGET = ("--params", "3B", "--tokens", "6e10")


def table(rows: np.ndarray) -> str:
    lines = [f"{n:.6e},{d:.6e},{loss:.6f}" for n, d, loss in rows]
    return "\n".join(["params,tokens,loss", *lines, ""])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    params = np.tile(np.geomspace(1e8, 1e9, 4), 4)
    tokens = np.repeat(np.geomspace(4e9, 4e10, 4), 4)
    stray = np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    loss = (1.8172 + 482.01 / params**0.3478 + 2085.43 / tokens**0.3658) * stray
    path = tmp_path_factory.mktemp("laws") / "my runs.csv"
    path.write_text(table(np.column_stack([params, tokens, loss])))
    return path


def test_a_fit_is_read_by_forecast(windtunnel: Windtunnel, runs: Path, tmp_path: Path) -> None:
    fitted = windtunnel("laws", "fit", runs, "--form", "chinchilla", "--json")
    assert (fitted.code, fitted.errors) == (0, "")
    assert {
        "form", "params", "ci90", "objective", "n_used", "flags", "seconds", "backtest",
        "candidates",
    } <= set(fitted.json)  # fmt: skip
    assert set(fitted.json["params"]) == {"E", "A", "B", "alpha", "beta"}
    assert set(fitted.json["ci90"]) == set(fitted.json["params"])
    assert fitted.json["n_used"] == 16
    path = tmp_path / "fit.json"
    path.write_text(fitted.output)
    told = windtunnel("laws", "forecast", path, *TARGET, "--json")
    assert {"loss", "ci90", "verdict", "reason", "axes", "next_run"} <= set(told.json)
    assert told.code == (4 if told.json["verdict"] == "cannot say" else 0)
    truth = 1.8172 + 482.01 / 3e9**0.3478 + 2085.43 / 6e10**0.3658
    assert told.json["ci90"][0] < truth < told.json["ci90"][1]
    words = windtunnel("laws", "forecast", path, *TARGET)
    assert words.output.startswith(f"Forecast   loss {told.json['loss']:.4g} at params 3e+09")
    assert f"Verdict    {told.json['verdict']}: " in words.output
    far = windtunnel("laws", "forecast", path, "--params", "1e14", "--tokens", "1e16")
    assert far.code == 4
    assert "cannot say: " in far.output
    same = windtunnel("laws", "forecast", path, "--at", "params=3B,tokens=6e10", "--json")
    assert same.json == told.json


def test_a_fit_in_words(windtunnel: Windtunnel, runs: Path) -> None:
    ended = windtunnel("laws", "fit", runs, "--where", "tokens<2e10")
    assert (ended.code, ended.errors) == (0, "")
    words = [line.split()[0] for line in ended.output.splitlines() if line[0] != " "]
    assert words[:2] == ["Law", "Chosen"]
    assert words[-1] == "Next"
    assert "Rows       12 used" in ended.output
    assert "windtunnel laws forecast fit.json --params ... --tokens ..." in ended.output


def test_few_runs_can_be_written_too(windtunnel: Windtunnel, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text(
        "params,tokens,loss\n1e8,2e9,3.5\n2e8,4e9,3.2\n4e8,8e9,3.0\n8e8,1.6e10,2.8\n1e8,8e9,3.2\n"
    )
    ended = windtunnel("laws", "fit", path, "--json")
    assert ended.code == 0
    assert ended.json["backtest"]["checked"] is False


def test_backtest(windtunnel: Windtunnel, runs: Path) -> None:
    options = (
        runs, "--fit", "tokens<2e10", "--predict", "tokens>=2e10", "--form", "chinchilla",
    )  # fmt: skip
    ended = windtunnel("laws", "backtest", *options, "--json")
    assert {
        "form", "n", "mean_abs_rel_error", "max_abs_rel_error", "bias", "coverage90",
        "halfwidth90", "verdict",
    } <= set(ended.json)  # fmt: skip
    assert ended.json["n"] == 4
    assert 0 < ended.json["mean_abs_rel_error"] <= ended.json["max_abs_rel_error"] < 0.02
    assert ended.code == (4 if ended.json["verdict"] == "cannot say" else 0)
    words = windtunnel("laws", "backtest", *options)
    assert words.code == ended.code
    assert "Foretold   4 rows: off by" in words.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params,tokens,loss\n1e8,2e9,3.5\n2e8,4e9,3.2\n", "2 rows are left to fit"),
        ("params,tokens,loss\n" + "1e8,2e9,3.5\n2e8,4e9,3.5\n4e8,8e9,3.5\n8e8,2e9,3.5\n", "every"),
        ("params,tokens,loss\n1e8,2e9,big\n2e8,4e9,3.2\n", "line 2"),
        ("", "empty"),
    ],
)
def test_tables_that_cannot_be_fitted_end_in_one_line(
    windtunnel: Windtunnel, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    ended = windtunnel("laws", "fit", path)
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors
    assert ended.errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "RUNS", "--form", "linear"), "form: no 'linear'"),
        (("fit", "none.csv"), "none.csv"),
        (("backtest", "RUNS", "--fit", "flops<1", "--predict", "flops>1"), "--fit: none of the 16"),
        (("backtest", "RUNS", "--fit", "params>", "--predict", "flops>1"), "--fit, position 8"),
        (("backtest", "RUNS", "--fit", "flops>1", "--predict", "size>1"), "--predict, position 1"),
        (("forecast", "RUNS", *TARGET), "this is no JSON"),
        (("forecast", "none.json", *TARGET), "No such file"),
    ],
)
def test_mistakes_end_in_one_line(
    windtunnel: Windtunnel, runs: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = windtunnel("laws", *(runs if each == "RUNS" else each for each in arguments))
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors
    assert ended.errors.count("\n") == 1

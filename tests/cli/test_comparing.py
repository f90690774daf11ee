"""Methods compared from a table, from the command line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Windtunnel = Callable[..., Any]


def write_table(path: Path, factor: float, seeds: int = 6, noise: float = 0.001) -> Path:
    draw = random.Random(0)
    lines = ["optimizer,width,tokens,seed,val loss,flops,seconds"]
    for method, faster in (("adamw", 1.0), ("muon", factor)):
        for width in (64, 128, 256):
            for tokens in (1e6, 2e6, 4e6):
                for seed in range(seeds):
                    loss = 1.5 + 20 / width + 60 / (tokens * faster) ** 0.3
                    loss *= 1 + noise * draw.gauss(0, 1)
                    flops = 72 * width**2 * tokens
                    lines.append(f"{method},{width},{tokens},{seed},{loss!r},{flops},{flops / 1e9}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("factor", "verdict", "code"), [(1.3, "better", 0), (0.7, "none better", 3)]
)
def test_a_table_gets_a_verdict_and_its_exit_code(
    windtunnel: Windtunnel, tmp_path: Path, factor: float, verdict: str, code: int
) -> None:
    runs = write_table(tmp_path / "runs.csv", factor)
    ended = windtunnel("compare", runs, "--baseline", "adamw", "--target", "width=512", "--json")
    assert (ended.code, ended.json["verdict"]) == (code, verdict)
    (trend,) = ended.json["trends"]
    low, high = trend["forecast"]["ci90"]
    assert low - 0.02 < factor < high + 0.02
    words = windtunnel("compare", runs, "--baseline", "adamw", "--plot", tmp_path / "figures")
    word = "better" if factor > 1 else "worse"
    assert words.code == code and f"muon is {word} than adamw at width 256" in words.output
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {
        f"{name}.{ending}"
        for name in ("differences", "speed-up", "performance-profile")
        for ending in ("svg", "png")
    }


def test_too_few_seeds_cannot_say(windtunnel: Windtunnel, tmp_path: Path) -> None:
    runs = write_table(tmp_path / "runs.csv", 1.3, seeds=3)
    ended = windtunnel("compare", runs, "--baseline", "adamw")
    assert ended.code == 4
    assert "muon and adamw share 3 seeds at width 256, and at least 5 are needed" in ended.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--baseline", "sgd"), "no final run of the baseline 'sgd'; there are adamw, muon"),
        (("--baseline", "adamw", "--effect", "x"), "--effect: "),
        (("--baseline", "adamw", "--effect", "0"), "--effect: 0 is not between"),
        (("--baseline", "adamw", "--target", "width=1,depth=2"), "along one axis"),
        (("--baseline", "adamw", "--target", "depth=2"), "have no depth; choose from width"),
        (("--baseline", "adamw", "--columns", "method=who"), "there is no column 'who'"),
    ],
)
def test_wrong_options_are_one_line(
    windtunnel: Windtunnel, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    ended = windtunnel("compare", write_table(tmp_path / "runs.csv", 1.3), *options)
    assert (ended.code, ended.output) == (2, "")
    assert said in ended.errors and ended.errors.count("\n") == 1


def test_what_is_no_table(windtunnel: Windtunnel, tmp_path: Path) -> None:
    ended = windtunnel("compare", tmp_path / "gone.csv", "--baseline", "adamw")
    assert ended.code == 2 and "gone.csv is no table of finished runs" in ended.errors

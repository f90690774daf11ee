"""`windtunnel laws report` as a person uses it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Windtunnel = Callable[..., Any]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0)
    lines = ["params,tokens,loss"]
    for params in np.geomspace(2e7, 2e9, 5):
        for tokens in params * np.array([5, 10, 20, 40]):
            loss = 1.8 + 480 / params**0.35 + 2100 / tokens**0.36
            loss *= np.exp(0.003 * noise.standard_normal())
            lines.append(f"{params:.0f},{tokens:.0f},{loss:.4f}")
    path = tmp_path / "my runs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_it_writes_the_memo_and_says_its_first_paragraph(
    windtunnel: Windtunnel, runs: Path, tmp_path: Path
) -> None:
    memo = tmp_path / "memo.html"
    target = "params=7B,tokens=200B"
    done = windtunnel(
        "laws", "report", runs, "--target", target, "--where", "loss<9", "--out", memo,
        "--money", "20k", "--rate", "2.2", "--gpu", "h100",
    )  # fmt: skip
    assert (done.code, done.errors) == (0, "")
    assert done.output.startswith("Train a model of ")
    page = memo.read_text(encoding="utf-8")
    assert hashlib.sha256(runs.read_bytes()).hexdigest() in page
    assert "--target=params=7B,tokens=200B" in page and "--money=20k" in page


def test_a_target_far_beyond_the_runs_ends_with_cannot_say(
    windtunnel: Windtunnel, runs: Path, tmp_path: Path
) -> None:
    memo = tmp_path / "memo.html"
    done = windtunnel("laws", "report", runs, "--target", "params=1e15,tokens=1e17", "--out", memo)
    assert done.code == 4
    assert "These runs cannot say" in done.output and memo.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "params=7e9"), "the target needs tokens"),
        (("--target", "params=7e9,tokens=2e11", "--mfu", "0.4"), "give --gpu as well"),
        (("--target", "params=7e9,tokens=2e11", "--money", "5"), "give --gpu"),
        (("--target", "params=7e9,tokens=2e11", "--money", "5", "--flops", "1e20"), "2 budgets"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    windtunnel: Windtunnel, runs: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    memo = tmp_path / "memo.html"
    done = windtunnel("laws", "report", runs, *options, "--out", memo)
    assert done.code == 2 and said in done.errors and done.errors.count("\n") == 1
    assert not memo.exists()

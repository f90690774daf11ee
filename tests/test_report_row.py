from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import windtunnel as wt


def test_rows_are_written_in_a_run_on_rank_0_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WINDTUNNEL_RUN", raising=False)
    wt.report(step=1, loss=2.0)
    monkeypatch.setenv("WINDTUNNEL_RUN", str(tmp_path))
    monkeypatch.setenv("RANK", "1")
    wt.report(step=1, loss=2.0)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    wt.report(step=1, loss=2.0, tokens=100)
    monkeypatch.delenv("RANK")
    wt.report(step=2, loss=math.nan)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 2.0, "tokens": 100.0}, {"step": 2, "loss": None}]

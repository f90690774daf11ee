"""Schedules with settings in our own training: the rates are theirs, and a stop leaves no trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from windtunnel.models import Family
from windtunnel.scale import Run
from windtunnel.schedules import recipe_multiplier
from windtunnel.training.batches import Batches
from windtunnel.training.loop import train


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        ("wsd", (("final", 0.1), ("shape", "1-sqrt"))),
        ("power", (("amplitude", 0.01), ("sequence_units", 16))),
        ("uba", (("phi", 0.5),)),
        ("recorded", (("multipliers", (0.2, 1.0, 0.5)),)),
    ],
)
def test_stopped_and_gone_on_with(
    schedule: str,
    settings: tuple[tuple[str, Any], ...],
    run: Run,
    family: Family,
    batches: Batches,
    tmp_path: Path,
) -> None:
    recipe = run.recipe.replace(schedule=schedule, schedule_settings=settings)
    run = run.replace(recipe=recipe)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = train(run, family=family, batches=batches, folder=whole)
    done = [0]
    stopped = train(
        run,
        family=family,
        batches=batches,
        folder=parts,
        on_progress=lambda step, steps, loss: done.__setitem__(0, step),
        should_stop=lambda: done[0] >= 11,
    )
    assert stopped is None
    found = train(run, family=family, batches=batches, folder=parts)
    assert expected is not None
    assert found is not None
    assert found.loss == expected.loss
    lines = [json.loads(line) for line in (parts / "metrics.jsonl").read_text().splitlines()]
    assert (parts / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    rates = [recipe.lr * recipe_multiplier(recipe, step, run.steps) for step in range(run.steps)]
    assert [line["lr"] for line in lines] == rates
    assert len(set(rates)) > 5

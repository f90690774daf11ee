from __future__ import annotations

import pytest

from windtunnel.search.policies.hyperband import HyperbandPolicy
from windtunnel.search.policies.random import RandomPolicy
from windtunnel.search.simulate import simulate
from windtunnel.search.space import Float, Space
from windtunnel.search.trial import Trial

LINE = Space({"x": Float(0.0, 1.0)})


def costs_what_it_says(trial: Trial, rows: object) -> tuple[float | None, float]:
    x = float(trial.values["x"])
    return (None if x > 0.9 else x), 1.0 + x


def test_workers_share_the_time_and_costs_add_up() -> None:
    policy = RandomPolicy(LINE, trials=40)
    alone, together = (simulate(policy, costs_what_it_says, workers=workers) for workers in (1, 4))
    total = sum(1.0 + float(e.row.run.values["x"]) for e in alone.events)
    assert alone.events[-1].spent == alone.events[-1].end == pytest.approx(total)
    assert together.events[-1].spent == pytest.approx(total)
    assert total / 4 <= together.events[-1].end < total / 4 + 2
    for event in alone.events:
        assert (event.row.state == "diverged") == (float(event.row.run.values["x"]) > 0.9)
    assert alone.reason == together.reason == "all 40 trials are decided"


def test_no_more_than_the_workers_are_busy() -> None:
    events = simulate(RandomPolicy(LINE, trials=40), costs_what_it_says, workers=3).events
    for event in events:
        assert sum(e.begin < event.end and e.end >= event.end for e in events) <= 3


def test_a_budget_ends_it() -> None:
    policy = HyperbandPolicy(LINE, least=1, most=81, passes=50)
    found = simulate(policy, lambda trial, rows: (1.0, trial.fidelity or 0.0), budget=500)
    assert found.reason == "the budget of 500 FLOPs is spent"
    assert found.events[-1].spent >= 500


def test_a_week_takes_no_time() -> None:
    found = simulate(
        HyperbandPolicy(LINE, least=60, most=4860), lambda trial, rows: (1.0, trial.fidelity or 0)
    )
    assert found.events[-1].end > 1e5  # seconds

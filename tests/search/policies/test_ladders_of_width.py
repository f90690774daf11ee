"""Telescoping and trajectory invariance against their papers' counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.search.policies.telescoping import TelescopingPolicy
from windtunnel.search.policies.trajectory_invariance import TrajectoryInvariancePolicy
from windtunnel.search.space import Float, Space
from windtunnel.search.trial import Trial

SPACE = Space({"lr": Float(2**-10, 2**-3, log=True), "weight_decay": Float(2**-9, 2**-2, log=True)})


def settling(trial: Trial) -> float:
    """The optimum of width n lies 8 / n octaves short of where it settles."""
    short = 8 / (trial.fidelity or 1)
    rate, decay = (math.log2(float(trial.values[name])) for name in ("lr", "weight_decay"))
    return (rate + 5.6 + short) ** 2 + 0.5 * (decay + 5.2 - short / 2) ** 2


def test_grids_and_costs_as_they_were_run(play: Callable) -> None:
    """8 x 8, 5 x 5, 3 x 3 (Essential AI 2025): 64, 100 and 144 of the smallest runs."""
    policy = TelescopingPolicy(SPACE, points=8, widths=[64, 128, 256])
    assert [policy.grid(stage)[0] for stage in range(3)] == [8, 5, 3]
    assert [policy.grid(stage)[1] for stage in range(3)] == [1, 0.5, 0.25]
    rows, reason = play(policy, settling)
    counts = Counter(row.run.fidelity for row in rows)
    assert counts[64] == 64
    assert [counts[w] * (w / 64) ** 2 for w in (128.0, 256.0)] == pytest.approx([100, 144], rel=0.7)
    best = min((row for row in rows if row.run.fidelity == 256), key=lambda row: row.loss).run
    assert math.log2(float(best.values["lr"])) == pytest.approx(-5.6, abs=0.25)
    assert f"lr {best.values['lr']:.4g}" in reason


def test_where_the_best_is_at_the_edge_the_grid_moves(play: Callable) -> None:
    def far(trial: Trial) -> float:
        rate = math.log2(float(trial.values["lr"])) + (4.0 if trial.fidelity == 64 else 7.5)
        return rate**2 + (math.log2(float(trial.values["weight_decay"])) + 5) ** 2

    rows, _ = play(TelescopingPolicy(SPACE, points=8, widths=[64, 128]), far)
    best = min((row for row in rows if row.run.fidelity == 128), key=lambda row: row.loss).run
    assert math.log2(float(best.values["lr"])) == pytest.approx(-7.5, abs=0.3)


def test_one_axis_keeps_a_quarter(play: Callable) -> None:
    line = Space({"lr": Float(2**-10, 2**-2, log=True)})
    assert TelescopingPolicy(line, points=33, widths=[16, 32]).grid(1) == (9, 0.25)


def test_widths_have_to_double() -> None:
    with pytest.raises(WindtunnelError, match="each has to be twice the one before"):
        TelescopingPolicy(SPACE, points=8, widths=[64, 192])


def test_the_effective_rate_comes_first_then_the_ratio(play: Callable) -> None:
    def long_run(trial: Trial) -> float:
        rate, decay = (math.log2(float(trial.values[name])) for name in ("lr", "weight_decay"))
        return (rate + decay + 11.4) ** 2 + 0.02 * (rate - decay - 1) ** 2

    rows, _ = play(TrajectoryInvariancePolicy(SPACE, points=9), long_run)
    assert len(rows) == 9 + 2 + 8
    products = [
        math.log2(float(r.run.values["lr"]) * float(r.run.values["weight_decay"])) for r in rows
    ]
    assert max(products[11:]) - min(products[11:]) < 1e-9
    assert products[-1] == pytest.approx(-11.4, abs=0.9)
    best = min(rows, key=lambda row: row.loss)
    ratio = math.log2(float(best.run.values["lr"]) / float(best.run.values["weight_decay"]))
    assert ratio == pytest.approx(1, abs=1.6)
    for row in rows:
        SPACE.check(row.run.values)

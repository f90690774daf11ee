from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.search.policies.pbt import PopulationPolicy, exploited, explored
from windtunnel.search.space import Choice, Float, Int, Space
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial

LINE = Space({"h": Float(0.0, 1.0)})


def rows_of(losses: list[float | None]) -> list[Row[Trial]]:
    return [
        Row(n, Trial.of({"h": 0.5}, fidelity=1.0, seed=n), "", "finished", loss)
        for n, loss in enumerate(losses)
    ]


def test_the_worst_quarter_copies_the_best_one() -> None:
    last = rows_of([5, 4, 3, 2, 1, 6, 7, 8])
    for seed in range(5):
        sources = [row.number for row in exploited(last, np.random.default_rng(seed))]
        assert sources[:6] == [0, 1, 2, 3, 4, 5]
        assert set(sources[6:]) <= {4, 3}
    four = [row.number for row in exploited(rows_of([1, 2, 3, 4]), np.random.default_rng(0))]
    assert four == [0, 1, 2, 0]


def test_who_diverged_always_copies_and_nobody_copies_divergence() -> None:
    last = rows_of([None, None, None, 2.0])
    assert [row.number for row in exploited(last, np.random.default_rng(0))] == [3, 3, 3, 3]


def test_values_are_multiplied_or_drawn_anew_within_their_range() -> None:
    space = Space({"x": Float(0.0, 1.0), "n": Int(1, 100), "c": Choice(("a", "b"))})
    generator = np.random.default_rng(0)
    found = [explored(space, {"x": 0.5, "n": 50, "c": "a"}, generator) for _ in range(4000)]
    xs = np.array([float(f["x"]) for f in found])
    assert np.mean(np.isclose(xs, 0.6)) == pytest.approx(0.375, abs=0.03)
    assert np.mean(np.isclose(xs, 0.4)) == pytest.approx(0.375, abs=0.03)
    assert np.mean([f["n"] in (40, 60) for f in found]) == pytest.approx(0.75, abs=0.03)
    assert np.mean([f["c"] == "a" for f in found]) == pytest.approx(0.5, abs=0.03)
    assert explored(LINE, {"h": 1.0}, np.random.default_rng(3))["h"] <= 1.0


def test_the_papers_toy() -> None:
    """Q = 1.2 - a^2 - b^2, each member sees one of the two: copying is what solves it.

    Jaderberg et al. 2017, figure 2: without copying the best stays at .39, with it 1.2 is reached.
    """
    space = Space({"h": Float(0.0, 1.0)})

    def trained(policy: PopulationPolicy) -> float:
        states: dict[int, np.ndarray] = {}
        rows: list[Row[Trial]] = []
        while True:
            answer = policy.next(rows, _budget(), 0)
            if not isinstance(answer, list):
                return 1.2 - min(row.loss for row in rows[-2:] if row.loss is not None)
            for decision in answer:
                trial, number = decision.run, len(rows)
                first = number == 0 or (trial.continues == 0 and number < 2)
                weights = (1.0, 0.0) if trial.seed % 2 == 0 or first else (0.0, 1.0)
                state = states.get(trial.continues, np.array([0.9, 0.9])).copy()
                for _ in range(10):
                    state -= 0.02 * 2 * np.array(weights) * state
                states[number] = state
                rows.append(Row(number, trial, "", "finished", float(state @ state)))

    assert trained(PopulationPolicy(space, members=2, interval=10, intervals=40)) > 1.15


def _budget():
    from windtunnel.search.policy import Budget

    return Budget()


def test_a_schedule_comes_out(space: Space, play: Callable) -> None:
    policy = PopulationPolicy(LINE, members=8, interval=2.0, intervals=6)

    def wants_to_fall(trial: Trial) -> float:
        """Best early with a large h, late with a small one."""
        return (float(trial.values["h"]) - (1 - (trial.fidelity or 0) / 12)) ** 2

    rows, reason = play(policy, wants_to_fall)
    assert (len(rows), reason) == (48, "every member is trained")
    schedule = policy.schedule(rows)
    assert [(s.begin, s.end) for s in schedule] == [(2.0 * n, 2.0 * n + 2) for n in range(6)]
    best = min(rows[-8:], key=lambda row: row.loss)
    assert schedule[-1].values == best.run.values
    assert schedule[-1].values["h"] < schedule[0].values["h"]
    with pytest.raises(WindtunnelError, match="no member has ended"):
        policy.schedule([])

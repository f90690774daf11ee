from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.search.importance import importances
from windtunnel.search.space import Choice, Float, Space
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial

SPACE = Space(
    {
        "a": Float(0, 1),
        "b": Float(0, 1),
        "c": Choice(("x", "y", "z")),
        "d": Float(0, 1, when={"c": ("z",)}),
    }
)


def rows_of(loss: Callable[[dict], float | None], count: int = 600, seed: int = 0) -> list:
    generator = np.random.default_rng(seed)
    trials = [Trial.of(SPACE.draw(generator), fidelity=9.0) for _ in range(count)]
    return [Row(n, t, "", "finished", loss(t.values)) for n, t in enumerate(trials)]


def test_shares_of_a_sum_are_its_variances() -> None:
    """Of 3a + 2b the shares are 9 and 4 parts of 13; ranks and groups blur that a little."""
    found = importances(rows_of(lambda v: 3 * float(v["a"]) + 2 * float(v["b"]), 5000), SPACE)
    assert list(found)[:2] == ["a", "b"]
    assert found["a"] == pytest.approx(9 / 13, abs=0.07)
    assert found["b"] == pytest.approx(4 / 13, abs=0.07)
    assert found["c"] < 0.02


def test_what_does_not_matter_has_no_share_however_few_the_trials() -> None:
    shares = [importances(rows_of(lambda v: float(v["a"]), 24, s), SPACE)["b"] for s in range(40)]
    assert np.mean(shares) < 0.12
    assert importances(rows_of(lambda v: float(v["a"]), 15), SPACE) == {}


def test_choices_conditions_and_bowls_count() -> None:
    found = importances(rows_of(lambda v: float(v["c"] == "y") + 0.01 * float(v["a"])), SPACE)
    # A third is y: 3 p (1 - p) of the variance of ranks lies between two groups.
    assert found["c"] == pytest.approx(2 / 3, abs=0.03)
    bowl = importances(rows_of(lambda v: (float(v["a"]) - 0.5) ** 2), SPACE)
    assert bowl["a"] > 0.75
    deep = importances(rows_of(lambda v: float(v.get("d", 0.5))), SPACE)
    assert deep["d"] > 0.8 and deep["a"] < 0.05


def test_divergence_counts_as_worst_and_short_trials_not_at_all() -> None:
    rows = rows_of(lambda v: None if float(v["a"]) > 0.8 else 1.0)
    assert importances(rows, SPACE)["a"] > 0.7
    short = [Row(1000 + n, Trial.of(r.run.values, fidelity=1.0), "", "finished", float(n))
             for n, r in enumerate(rows)]  # fmt: skip
    assert importances([*rows, *short], SPACE) == importances(rows, SPACE)
    flat = importances(rows_of(lambda v: 2.0), SPACE)
    assert set(flat.values()) == {0.0}

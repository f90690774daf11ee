"""Successive halving and Hyperband against their papers' tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.search.policies.halving import better, halving_bracket, halvings
from windtunnel.search.policies.hyperband import HyperbandPolicy, bracket_table
from windtunnel.search.policies.successive_halving import SuccessiveHalvingPolicy
from windtunnel.search.space import Space
from windtunnel.search.trial import Trial

# R = 81, eta = 3: Li et al. 2018, table 1, by the formula of algorithm 1.
TABLE = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(34, 3), (11, 9), (3, 27), (1, 81)],
    [(15, 9), (5, 27), (1, 81)],
    [(8, 27), (2, 81)],
    [(5, 81)],
]


def test_the_brackets_of_81() -> None:
    found = [[(r.trials, r.fidelity) for r in bracket] for bracket in bracket_table(1, 81, 3)]
    assert found == TABLE


@pytest.mark.parametrize(
    ("most", "eta", "total", "begun", "resumed"),
    [(81, 3, 1902, 143, 1581), (27, 3, 423, 49, 357), (9, 3, 78, 17, 69), (16, 2, 372, 43, 278)],
)
def test_the_units_of_a_pass(
    space: Space,
    play: Callable,
    paid: Callable,
    objective: Callable,
    most: int,
    eta: int,
    total: int,
    begun: int,
    resumed: int,
) -> None:
    def finite(trial: Trial) -> float:
        return objective(trial) or 9.0

    rows, _ = play(HyperbandPolicy(space, least=1, most=most, eta=eta), finite)
    assert paid(rows) == total
    assert paid(rows, resume=True) == resumed
    assert sum(row.run.continues is None for row in rows) == begun


def test_a_logarithm_just_below_a_whole_number() -> None:
    assert halvings(1, 243, 3) == 5
    assert [r.trials for r in halving_bracket(27, 1, 243, 3)] == [27, 9, 3, 1]


def test_where_short_trials_rank_as_long_ones_the_best_wins(
    space: Space, play: Callable, objective: Callable[[Trial], float | None]
) -> None:
    rows, _ = play(SuccessiveHalvingPolicy(space, trials=27, least=1, most=27), objective)
    first = better(rows[:27])[0]
    (last,) = [row for row in rows if row.run.fidelity == 27]
    assert last.run.values == first.run.values
    assert [row.run.fidelity for row in rows] == [1] * 27 + [3] * 9 + [9] * 3 + [27]


def test_where_ranks_are_noise_the_winner_is_anyone(
    space: Space, play: Callable, noise: Callable[[Trial], float]
) -> None:
    winners = []
    for seed in range(150):
        policy = SuccessiveHalvingPolicy(space, trials=9, least=1, most=9)
        rows, _ = play(policy, noise, seed=seed)
        winner = rows[-1]
        while winner.run.continues is not None:
            winner = rows[winner.run.continues]
        winners.append(winner.number)
    assert np.bincount(winners, minlength=9).min() > 4  # 17 each on average


def test_hyperband_passes_begin_with_new_trials(
    space: Space, play: Callable, objective: Callable
) -> None:
    rows, _ = play(HyperbandPolicy(space, least=1, most=9, passes=2), objective)
    first = {row.run.items for row in rows[: len(rows) // 2]}
    second = {row.run.items for row in rows[len(rows) // 2 :]}
    assert not first & second

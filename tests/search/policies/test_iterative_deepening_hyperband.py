from __future__ import annotations

from collections.abc import Callable

import pytest

from windtunnel.search.policies.hyperband import HyperbandPolicy
from windtunnel.search.policies.iterative_deepening_hyperband import (
    IterativeDeepeningHyperbandPolicy,
)
from windtunnel.search.space import Space
from windtunnel.search.trial import Trial


@pytest.mark.parametrize(
    ("most", "eta", "first", "added"), [(16, 2, 372, 756), (9, 3, 78, 345), (27, 3, 423, 1479)]
)
def test_both_passes_take_what_one_at_the_higher_fidelity_does(
    space: Space,
    play: Callable,
    paid: Callable,
    noise: Callable[[Trial], float],
    most: int,
    eta: int,
    first: int,
    added: int,
) -> None:
    def policy(raises: int) -> IterativeDeepeningHyperbandPolicy:
        return IterativeDeepeningHyperbandPolicy(space, least=1, most=most, raises=raises, eta=eta)

    once, _ = play(policy(0), noise)
    raised, reason = play(policy(1), noise)
    fresh, _ = play(HyperbandPolicy(space, least=1, most=most * eta, eta=eta), noise)
    assert raised[: len(once)] == once
    assert (paid(once), paid(raised) - paid(once)) == (first, added)
    assert paid(raised) == paid(fresh)
    assert reason == f"every bracket up to {most * eta} has ended"


def test_without_a_raise_it_is_hyperband(
    space: Space, play: Callable, objective: Callable[[Trial], float | None]
) -> None:
    ours, _ = play(IterativeDeepeningHyperbandPolicy(space, least=1, most=9), objective)
    theirs, _ = play(HyperbandPolicy(space, least=1, most=9), objective)
    assert [row.run for row in ours] == [row.run for row in theirs]


def test_where_ranks_are_true_the_winner_is_the_best_of_all(
    space: Space, play: Callable, objective: Callable[[Trial], float | None]
) -> None:
    rows, _ = play(IterativeDeepeningHyperbandPolicy(space, least=1, most=9, raises=1), objective)
    begun = [row.run for row in rows if row.run.continues is None]
    best = min(begun, key=lambda t: objective(Trial(t.items, 27.0)) or 9)
    longest = [row for row in rows if row.run.fidelity == 27]
    assert best.items in {row.run.items for row in longest}

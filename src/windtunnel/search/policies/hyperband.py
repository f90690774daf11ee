"""Hyperband: successive halving from several first rungs, since nobody knows the right one."""

from __future__ import annotations

import math

from windtunnel.search.policies.halving import (
    ETA,
    Rung,
    check_fidelities,
    halvings,
    walk_bracket,
)
from windtunnel.search.policies.random import fresh_trial
from windtunnel.search.policy import Answer, Budget, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Table
from windtunnel.search.trial import Trial


def bracket_table(least: float, most: float, eta: float = ETA) -> list[list[Rung]]:
    """The brackets of one pass, the one with the shortest first rung first.

    Li et al. 2018 (1603.06560), algorithm 1: ceil((S + 1) eta^s / (s + 1)) trials begin at
    most eta^-s, and floor(n eta^-i) of n are left at rung i. Several libraries round inside the
    product instead, which makes a pass about a tenth cheaper: compare by units, never by passes.
    """
    check_fidelities(least, most, eta)
    deepest = halvings(least, most, eta)
    brackets = []
    for s in range(deepest, -1, -1):
        begun = math.ceil((deepest + 1) * eta**s / (s + 1) - 1e-9)
        brackets.append(
            [
                Rung(math.floor(begun * eta**-i + 1e-9), most * float(eta) ** (i - s))
                for i in range(s + 1)
            ]
        )
    return brackets


class HyperbandPolicy:
    """All brackets of the table, one after another.

    Args:
        space: What is searched.
        least: Least fidelity, in units of training.
        most: Greatest fidelity.
        eta: One of so many is kept.
        passes: How often the table is gone through, with new trials each time.
    """

    asynchronous = False

    def __init__(
        self, space: Space, *, least: float, most: float, eta: float = ETA, passes: int = 1
    ) -> None:
        self._space = space
        self._brackets = bracket_table(least, most, eta) * passes

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The next rung of the first bracket that hasn't ended."""
        if budget.spent:
            return Stop(budget.spent)
        rows, begun = iter(table), 0
        for number, bracket in enumerate(self._brackets):
            first, before = bracket[0].fidelity, begun
            wanted = walk_bracket(
                bracket,
                rows,
                lambda place, before=before, first=first: fresh_trial(  # type: ignore[misc]
                    self._space, seed, before + place, first
                ),
                f"bracket {number + 1} of {len(self._brackets)}",
            )
            if wanted is not None:
                return wanted
            begun += bracket[0].trials
        return Stop("every bracket has ended")

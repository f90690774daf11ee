"""Random search."""

from __future__ import annotations

import numpy as np

from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Table
from windtunnel.search.trial import Trial


class RandomPolicy:
    """Values drawn evenly, each trial on its own (Bergstra and Bengio 2012).

    Args:
        space: What is searched.
        trials: How many.
        fidelity: How long each is trained; None where the objective has no length.
    """

    asynchronous = False

    def __init__(self, space: Space, *, trials: int, fidelity: float | None = None) -> None:
        self._space = space
        self._trials = trials
        self._fidelity = fidelity

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """All trials at once, as none depends on another's result; one where there is a budget."""
        if budget.spent:
            return Stop(budget.spent)
        if len(table) >= self._trials:
            return Stop(f"all {self._trials} trials are decided")
        return [
            Decision(fresh_trial(self._space, seed, number, self._fidelity), "random")
            for number in next_numbers(table, self._trials, budget)
        ]


def next_numbers(table: Table[Trial], trials: int, budget: Budget) -> range:
    """The trials that may be decided now: all that are left, or the next if there is a budget."""
    return range(len(table), len(table) + 1 if budget.limited else trials)


def fresh_trial(space: Space, seed: int, number: int, fidelity: float | None) -> Trial:
    """The `number`-th trial at random: a function of the seed and its number alone."""
    values = space.draw(np.random.default_rng([seed, number]))
    return Trial.of(values, fidelity=fidelity, seed=own_seed(space, seed, number))


def own_seed(space: Space, seed: int, number: int) -> int:
    """One seed for all trials, so that luck is shared; each its own where values may recur."""
    return seed if space.continuous else seed + number

"""Quasi-random search."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from windtunnel.search.policies.random import next_numbers, own_seed
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Table
from windtunnel.search.trial import Trial


class SobolPolicy:
    """Points of a scrambled Sobol sequence: no two alike in any coordinate (Owen 1998).

    Args:
        space: What is searched.
        trials: How many; a power of two is spread most evenly.
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
        points = _points(len(self._space), self._trials, seed)
        return [
            Decision(
                Trial.of(
                    self._space.at(points[number]),
                    fidelity=self._fidelity,
                    seed=own_seed(self._space, seed, number),
                ),
                "Sobol point",
            )
            for number in next_numbers(table, self._trials, budget)
        ]


@lru_cache(maxsize=8)
def _points(dimensions: int, count: int, seed: int) -> NDArray[np.float64]:
    """(count, dimensions), cut from the next power of two, which the sequence wants."""
    sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    found: NDArray[np.float64] = sequence.random_base2(max(count - 1, 1).bit_length())[:count]
    return found

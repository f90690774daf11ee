"""Asynchronous successive halving: promote whenever a rung shows a trial worth it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from windtunnel.search.policies.halving import (
    ETA,
    better,
    check_fidelities,
    halvings,
    promoted,
)
from windtunnel.search.policies.random import fresh_trial
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial


class AshaPolicy:
    """Li et al. 2020 (1810.05934), algorithm 2, with resume.

    Whenever a worker is free: from the highest rung down, if one of the best floor(n / eta) of the
    n results of a rung isn't promoted yet, the best such one is; else a new trial begins. All n
    count, the promoted ones too: one public library takes these away first, and so promotes nearly
    all in the end. Equal losses: the earlier trial.

    Args:
        space: What is searched.
        trials: How many may begin.
        least: Fidelity of the first rung, in units of training.
        most: Greatest fidelity.
        at_once: How many trials may be open at once: as many as there are workers.
        eta: One of so many is promoted.
    """

    asynchronous = True

    def __init__(
        self,
        space: Space,
        *,
        trials: int,
        least: float,
        most: float,
        at_once: int = 1,
        eta: float = ETA,
    ) -> None:
        check_fidelities(least, most, eta)
        self._space = space
        self._trials = trials
        self._at_once = at_once
        self._eta = eta
        self._fidelities = [least * eta**i for i in range(halvings(least, most, eta) + 1)]

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """One decision for a free worker, or none until a trial ends."""
        running = sum(not row.done for row in table)
        if running >= self._at_once:
            return []
        if budget.spent:
            return [] if running else Stop(budget.spent)
        promotion = self._promotion(table)
        if promotion is not None:
            return [promotion]
        begun = sum(row.run.continues is None for row in table)
        if begun < self._trials:
            trial = fresh_trial(self._space, seed, begun, self._fidelities[0])
            return [Decision(trial, "rung 1")]
        return [] if running else Stop("nothing is left to promote")

    def _promotion(self, table: Sequence[Row[Trial]]) -> Decision[Trial] | None:
        gone_on = {row.run.continues for row in table}
        for rung in range(len(self._fidelities) - 2, -1, -1):
            ended = [
                row for row in table if row.done and row.run.fidelity == self._fidelities[rung]
            ]
            for row in better(ended)[: math.floor(len(ended) / self._eta + 1e-9)]:
                if row.number not in gone_on and row.loss is not None:
                    return Decision(promoted(row, self._fidelities[rung + 1]), f"rung {rung + 2}")
        return None

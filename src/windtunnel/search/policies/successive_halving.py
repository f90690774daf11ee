"""Successive halving: many short trials, ever fewer longer ones."""

from __future__ import annotations

from windtunnel.search.policies.halving import ETA, halving_bracket, walk_bracket
from windtunnel.search.policies.random import fresh_trial
from windtunnel.search.policy import Answer, Budget, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Table
from windtunnel.search.trial import Trial


class SuccessiveHalvingPolicy:
    """Train all to the least fidelity, keep the best 1 / eta, train them eta times as long, ...

    Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016 (1502.07943). A trial that is kept
    goes on from where it stands, and pays for the rest alone.

    Args:
        space: What is searched.
        trials: How many begin.
        least: Fidelity of the first rung, in units of training.
        most: Greatest fidelity.
        eta: One of so many is kept.
    """

    asynchronous = False

    def __init__(
        self, space: Space, *, trials: int, least: float, most: float, eta: float = ETA
    ) -> None:
        self._space = space
        self._bracket = halving_bracket(trials, least, most, eta)

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The next rung, once the one before has ended."""
        if budget.spent:
            return Stop(budget.spent)
        first = self._bracket[0].fidelity
        wanted = walk_bracket(
            self._bracket,
            iter(table),
            lambda place: fresh_trial(self._space, seed, place, first),
            "successive halving",
        )
        return Stop("the last rung has ended") if wanted is None else wanted

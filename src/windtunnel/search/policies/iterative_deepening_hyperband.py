"""Hyperband whose greatest fidelity can be raised later without doing anything again."""

from __future__ import annotations

from itertools import islice

from windtunnel.search.policies.halving import (
    ETA,
    Rung,
    better,
    check_fidelities,
    halvings,
    promoted,
)
from windtunnel.search.policies.hyperband import bracket_table
from windtunnel.search.policies.random import fresh_trial
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial

_Held = list[list[Row[Trial]]]  # of one bracket, rung by rung


class IterativeDeepeningHyperbandPolicy:
    """The efficient variant of Iterative Deepening Hyperband (Brandt et al. 2023).

    A first pass is Hyperband's. Each raise multiplies the greatest fidelity by eta: every bracket
    gets one more rung and as many new trials as Hyperband's table for the new fidelity has beyond
    those it holds, and a bracket of the new fidelity alone is added. What stands on the next rung
    stays there; only the places left go to the best of the others. So both passes together take
    exactly the units of one pass at the higher fidelity.

    Args:
        space: What is searched.
        least: Least fidelity, in units of training.
        most: Greatest fidelity of the first pass.
        raises: How often it is raised. To go on later, give the same arguments and more raises.
        eta: One of so many is kept.
    """

    asynchronous = False

    def __init__(
        self, space: Space, *, least: float, most: float, raises: int = 0, eta: float = ETA
    ) -> None:
        check_fidelities(least, most, eta)
        self._space = space
        self._eta = eta
        deepest = halvings(least, most, eta)
        self._passes = [
            bracket_table(most * eta**-deepest, most * eta**number, eta)
            for number in range(raises + 1)
        ]

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The next rung of the first bracket of the first pass that lacks results."""
        if budget.spent:
            return Stop(budget.spent)
        rows, begun = iter(table), 0
        held: dict[int, _Held] = {}
        for number, brackets in enumerate(self._passes):
            for place, bracket in enumerate(brackets):
                name = f"pass {number + 1}, bracket {place + 1} of {len(brackets)}"
                own = held.setdefault(place, [])
                own += [[] for _ in range(len(bracket) - len(own))]
                for rung in range(len(bracket)):
                    missing = self._missing(bracket, own, rung, seed, begun)
                    present = list(islice(rows, len(missing)))
                    if len(present) < len(missing):
                        purpose = f"{name}, rung {rung + 1}"
                        return [Decision(trial, purpose) for trial in missing[len(present) :]]
                    if not all(row.done for row in present):
                        return []
                    own[rung] += present
                    begun += len(present) if rung == 0 else 0
        return Stop(f"every bracket up to {self._passes[-1][0][-1].fidelity:g} has ended")

    def _missing(
        self, bracket: list[Rung], held: _Held, rung: int, seed: int, begun: int
    ) -> list[Trial]:
        """The trials that a rung has places for."""
        places = max(0, bracket[rung].trials - len(held[rung]))
        fidelity = bracket[rung].fidelity
        if rung == 0:
            return [fresh_trial(self._space, seed, begun + n, fidelity) for n in range(places)]
        gone_on = {row.run.continues for row in held[rung]}
        rest = [
            row
            for row in better(held[rung - 1])
            if row.number not in gone_on and row.loss is not None
        ]
        return [promoted(row, fidelity) for row in rest[:places]]

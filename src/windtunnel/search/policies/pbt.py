"""Population-based training: members copy better ones in mid-training and change what they copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.search.policies.halving import better
from windtunnel.search.policies.random import fresh_trial
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Choice, Int, Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial, Value

# Jaderberg et al. 2017 (1711.09846) copy from the best fifth; Ray and Syne Tune, whose defaults
# these are, from the best quarter.
QUANTILE = 0.25
RESAMPLED = 0.25
FACTORS = (0.8, 1.2)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Values that held from one fidelity to another."""

    begin: float
    end: float
    values: dict[str, Value]


class PopulationPolicy:
    """K members train side by side; after every interval the worst copy the best and explore.

    Copying continues another member's state, so the objective has to keep states. All members wait
    for each other, which makes the table a function of the seed.

    Args:
        space: What is searched; continuous values are multiplied, so they can't leave 0.
        members: How many train.
        interval: Fidelity between two chances to copy.
        intervals: How many of these a run is long; 5 to 10 are usual for short runs.

    Raises:
        WindtunnelError: Fewer than two members or intervals.
    """

    asynchronous = False
    needs_states = True

    def __init__(self, space: Space, *, members: int, interval: float, intervals: int) -> None:
        if members < 2 or intervals < 1 or interval <= 0:
            raise WindtunnelError(
                f"population: {members} members and {intervals} intervals of {interval:g}; it "
                "takes two members and one interval at least"
            )
        self._space = space
        self._members = members
        self._interval = interval
        self._intervals = intervals

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The next interval of every member, once all have ended the one before."""
        if budget.spent:
            return Stop(budget.spent)
        generation, begun = divmod(len(table), self._members)
        before = table[: generation * self._members]
        if not all(row.done for row in before):
            return []
        if generation == self._intervals:
            return Stop("every member is trained")
        purpose = f"interval {generation + 1} of {self._intervals}"
        return [Decision(trial, purpose) for trial in self._generation(before, seed)[begun:]]

    def schedule(self, table: Sequence[Row[Trial]]) -> list[Stretch]:
        """The values that the best member was trained with, one stretch after another.

        Raises:
            WindtunnelError: No member has ended an interval.
        """
        ended = [row for row in table if row.loss is not None]
        if not ended:
            raise WindtunnelError("population: no member has ended an interval yet")
        longest = max(row.run.fidelity or 0.0 for row in ended)
        row: Row[Trial] | None = better([r for r in ended if r.run.fidelity == longest])[0]
        stretches: list[Stretch] = []
        while row is not None:
            end = row.run.fidelity or 0.0
            stretches.append(Stretch(end - self._interval, end, row.run.values))
            row = None if row.run.continues is None else table[row.run.continues]
        return stretches[::-1]

    def _generation(self, table: Sequence[Row[Trial]], seed: int) -> list[Trial]:
        number = len(table) // self._members
        fidelity = (number + 1) * self._interval
        if number == 0:
            return [
                Trial(fresh_trial(self._space, seed, m, None).items, fidelity, self._seed(seed, m))
                for m in range(self._members)
            ]
        last = table[-self._members :]
        copied = exploited(last, np.random.default_rng([seed, number]))
        wanted = []
        for member, source in enumerate(copied):
            values: dict[str, Value] = source.run.values
            if source is not last[member]:
                generator = np.random.default_rng([seed, number, member])
                values = explored(self._space, values, generator)
            wanted.append(
                Trial.of(
                    values,
                    fidelity=fidelity,
                    seed=self._seed(seed, member),
                    continues=source.number,
                )
            )
        return wanted

    def _seed(self, seed: int, member: int) -> int:
        return seed * self._members + member


def exploited(last: Sequence[Row[Trial]], generator: np.random.Generator) -> list[Row[Trial]]:
    """Whom each member goes on from: itself, or for the worst quarter a draw from the best one."""
    order = better(last)
    count = min(math.ceil(QUANTILE * len(last)), len(last) // 2)
    best = [row for row in order[:count] if row.loss is not None]
    worst = {row.number for row in order[len(order) - count :]}
    # Who diverged has nothing to go on from, however many they are.
    worst |= {row.number for row in last if row.loss is None}
    return [
        best[int(generator.integers(len(best)))] if row.number in worst and best else row
        for row in last
    ]


def explored(
    space: Space, values: dict[str, Value], generator: np.random.Generator
) -> dict[str, Value]:
    """Each value drawn anew with probability .25, else multiplied by .8 or 1.2 within its range."""
    changed: dict[str, Value] = {}
    for name, parameter in space.parameters.items():
        again, up = generator.random() < RESAMPLED, int(generator.integers(2))
        drawn = parameter.value(float(generator.random()))
        if name not in values:
            continue
        if again or isinstance(parameter, Choice):
            changed[name] = drawn
            continue
        moved = min(max(float(values[name]) * FACTORS[up], parameter.low), parameter.high)
        changed[name] = round(moved) if isinstance(parameter, Int) else moved
    return space.completed(changed, generator)

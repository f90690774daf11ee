"""DEHB: Hyperband whose trials evolve, a population a fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from windtunnel.search.policies.halving import ETA, Rung, check_fidelities, halvings
from windtunnel.search.policies.random import own_seed
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial

Array = NDArray[np.float64]

# Awad, Mallik and Hutter 2021 (2105.09821), appendix: F and CR of rand/1/bin.
MUTATION = 0.5
CROSSOVER = 0.5


def evolving_brackets(least: float, most: float, eta: float = ETA) -> list[list[Rung]]:
    """The brackets of one pass: floor((S + 1) / (s + 1)) eta^s trials begin, as in their code."""
    check_fidelities(least, most, eta)
    deepest = halvings(least, most, eta)
    brackets = []
    for s in range(deepest, -1, -1):
        begun = (deepest + 1) // (s + 1) * eta**s
        brackets.append(
            [Rung(int(begun * eta**-i + 1e-9), most * float(eta) ** (i - s)) for i in range(s + 1)]
        )
    return brackets


class DehbPolicy:
    """Differential evolution in every rung (Awad, Mallik and Hutter 2021, 2105.09821).

    Every fidelity has a population in the unit cube, as large as the largest rung there. In the
    first pass the lowest rung of each bracket evolves and the higher ones take the best of the rung
    below; later every rung evolves, with parents from the best of the fidelity below. A trial
    takes its target's place where it is no worse. A rung waits for the one before.

    Args:
        space: What is searched.
        least: Least fidelity, in units of training.
        most: Greatest fidelity.
        eta: One of so many is kept.
        passes: How often the brackets are gone through.
    """

    asynchronous = False

    def __init__(
        self, space: Space, *, least: float, most: float, eta: float = ETA, passes: int = 2
    ) -> None:
        self._space = space
        self._first = evolving_brackets(least, most, eta)
        self._brackets = self._first * passes
        self._sizes: dict[float, int] = {}
        for bracket in self._first:
            for rung in bracket:
                self._sizes[rung.fidelity] = max(self._sizes.get(rung.fidelity, 0), rung.trials)

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The next rung, once every earlier one has ended."""
        if budget.spent:
            return Stop(budget.spent)
        position = 0
        for number, bracket in enumerate(self._brackets):
            for place, rung in enumerate(bracket):
                if position + rung.trials > len(table):
                    purpose = f"bracket {number + 1}, rung {place + 1} of {len(bracket)}"
                    proposed = self._replay(table, seed, number, place)
                    return [Decision(trial, purpose) for trial in proposed[len(table) - position :]]
                if not all(row.done for row in table[position : position + rung.trials]):
                    return []
                position += rung.trials
        return Stop("every bracket has ended")

    def _replay(self, table: Table[Trial], seed: int, bracket: int, rung: int) -> list[Trial]:
        """Let the populations live through the table up to a rung, and propose its trials."""
        populations = {
            fidelity: _Population.drawn(size, len(self._space), [seed, place])
            for place, (fidelity, size) in enumerate(sorted(self._sizes.items()))
        }
        position = 0
        for number, rungs in enumerate(self._brackets):
            for place, own in enumerate(rungs):
                targets = populations[own.fidelity].targets(own.trials)
                generator = np.random.default_rng([seed, number, place])
                promotes = number < len(self._first) and place > 0
                points, continued = (
                    _promoted(populations, own, rungs[place - 1].fidelity, generator)
                    if promotes
                    else self._evolved(populations, own, rungs, place, targets, generator)
                )
                if (number, place) == (bracket, rung):
                    return [
                        Trial.of(
                            self._space.at(point),
                            fidelity=own.fidelity,
                            seed=own_seed(self._space, seed, position + at),
                            continues=row,
                        )
                        for at, (point, row) in enumerate(zip(points, continued, strict=True))
                    ]
                ended = table[position : position + own.trials]
                populations[own.fidelity].take(points, targets, ended)
                position += own.trials
        raise AssertionError("the rung is one of the brackets'")

    def _evolved(
        self,
        populations: dict[float, _Population],
        own: Rung,
        rungs: Sequence[Rung],
        place: int,
        targets: Sequence[int],
        generator: np.random.Generator,
    ) -> tuple[list[Array], list[int | None]]:
        population = populations[own.fidelity]
        parents = (
            population.points
            if place == 0
            else populations[rungs[place - 1].fidelity].best(own.trials)
        )
        everyone = np.concatenate([each.points for each in populations.values()])
        points = [
            mutant(parents, population.points[target], everyone, generator) for target in targets
        ]
        return points, [None] * len(points)


def mutant(parents: Array, target: Array, everyone: Array, generator: np.random.Generator) -> Array:
    """One rand/1/bin mutant of a target, in the unit cube.

    Args:
        parents: (n, d) from which three are drawn, the target not among them; where fewer are
            left, others of `everyone` join.
        target: (d,).
        everyone: (m, d) members of all populations.
        generator: Of the draws.
    """
    pool = parents[(parents != target).any(axis=1)]
    if len(pool) < 3:
        others = everyone[(everyone != target).any(axis=1)]
        pool = np.concatenate([pool, others[generator.permutation(len(others))[: 3 - len(pool)]]])
    first, second, third = pool[generator.choice(len(pool), 3, replace=False)]
    moved = first + MUTATION * (second - third)
    crossed = generator.random(target.size) < CROSSOVER
    crossed[generator.integers(target.size)] = True
    point = np.where(crossed, moved, target)
    outside = (point < 0) | (point > 1)
    found: Array = np.where(outside, generator.random(target.size), point)
    return found


def _promoted(
    populations: dict[float, _Population],
    own: Rung,
    below: float,
    generator: np.random.Generator,
) -> tuple[list[Array], list[int | None]]:
    """The best below that were never promoted; where these run out, points at random."""
    lower, upper = populations[below], populations[own.fidelity]
    order = [int(member) for member in np.argsort(lower.losses, kind="stable")]
    new = [m for m in order if lower.rows[m] is not None and lower.rows[m] not in upper.came]
    chosen = new[: own.trials]
    upper.came.update(lower.rows[m] for m in chosen)
    drawn = generator.random((own.trials - len(chosen), lower.points.shape[1]))
    return (
        [*(lower.points[m].copy() for m in chosen), *drawn],
        [*(lower.rows[m] for m in chosen), *([None] * len(drawn))],
    )


@dataclass
class _Population:
    """The members of one fidelity, and where the next target is."""

    points: Array
    losses: Array
    rows: list[int | None]
    came: set[int | None] = field(default_factory=set)
    next_target: int = 0

    @staticmethod
    def drawn(size: int, dimensions: int, seed: Sequence[int]) -> _Population:
        points = np.random.default_rng([*seed, 0]).random((size, dimensions))
        return _Population(points, np.full(size, np.inf), [None] * size)

    def targets(self, count: int) -> list[int]:
        """The next so many members, in turn."""
        found = [(self.next_target + n) % len(self.points) for n in range(count)]
        self.next_target = (self.next_target + count) % len(self.points)
        return found

    def best(self, count: int) -> Array:
        return self.points[np.argsort(self.losses, kind="stable")[:count]]

    def take(
        self, points: Sequence[Array], targets: Sequence[int], rows: Sequence[Row[Trial]]
    ) -> None:
        """Put each trial in its target's place where it is no worse."""
        for point, target, row in zip(points, targets, rows, strict=True):
            if row.loss is not None and row.loss <= self.losses[target]:
                self.points[target], self.losses[target] = point, row.loss
                self.rows[target] = row.number

"""The search up a ladder of scales: cheapest cells first, each one centred by an earlier one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe, Run
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.sweep import (
    MOST_WIDENINGS,
    OCTAVE,
    SweepStep,
    geometric_bracket,
    index_of,
    next_step,
    value_at,
    vertex,
)
from windtunnel.search.table import Row, Table

# Fields of a recipe that are searched as 1 - value, because that is what acts on a log scale.
_COMPLEMENTS = frozenset({"beta1", "beta2"})
# Largest value on the grid that means anything; elsewhere the line may be widened freely.
_LARGEST = {"beta1": 0.5, "beta2": 0.5, "warmup_fraction": 0.5}
_REPLICATED = 3

Place: TypeAlias = tuple[int, ...]  # a grid index for each axis
Losses: TypeAlias = dict[Place, float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """A searched hyperparameter: a field of `Recipe` and its first bracket.

    Attributes:
        name: The field's name; the first axis of a ladder is `lr`.
        low: Smallest value of the first bracket.
        high: Largest value of the first bracket.
        points: How many points it has, evenly spread in log (for `beta2` in log of 1 - beta2).
    """

    name: str
    low: float
    high: float
    points: int = 5

    def index(self, value: float) -> int:
        """The grid point nearest to a value; 0, which is on no log scale, counts as `low`."""
        return index_of(1 - value if self.name in _COMPLEMENTS else value or self.low)

    def value(self, index: int) -> float:
        """The value at a grid point."""
        return 1 - value_at(index) if self.name in _COMPLEMENTS else value_at(index)

    @property
    def bracket(self) -> tuple[int, ...]:
        """The first bracket, on the grid."""
        ends = (1 - self.high, 1 - self.low) if self.name in _COMPLEMENTS else (self.low, self.high)
        return geometric_bracket(*ends, self.points)

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest index that mean anything."""
        largest = _LARGEST.get(self.name)
        return (-math.inf, math.inf if largest is None else index_of(largest))


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule at one scale, where every axis is searched.

    Attributes:
        name: Unique in the ladder; part of what people read about each run.
        template: A run of this cell; its recipe says all that isn't searched, its seeds are the
            first ones.
        warm: Name of the cell whose optimum centres this one's brackets; None begins cold.
        shift: How many octaves the best learning rate is expected above that cell's; under `sp`
            it is -log2 of the ratio of widths.
        seeds: With how many seeds the best three rates are trained.
    """

    name: str
    template: Run
    warm: str | None = None
    shift: float = 0.0
    seeds: int = 1

    @property
    def cost(self) -> float:
        """Grows as the cost of one run does; only its order is used."""
        scale = self.template.scale
        return float(scale.width**2 * scale.depth * scale.units)


@dataclass(frozen=True, slots=True)
class _Search:
    """How far one cell is: either it wants runs, or waits, or has ended at `place`."""

    place: Place | None
    step: SweepStep
    axis: str
    line: Mapping[int, float | None]
    edges: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.step.stage in ("settled", "edge")


class BracketPolicy:
    """Bracket, widen and refine in every cell, then replicate with more seeds.

    In a cell the learning rate comes first; every other axis follows at the best rate, then the
    learning rate again. A cold cell starts from the axis' bracket, a warm one with three points an
    octave apart, so that five or six runs settle it when the guess is good to an octave. A
    diverged run counts as infinitely bad. Nothing is remembered between calls but a cache.

    Args:
        cells: In any order; they are searched cheapest first.
        axes: `lr` first.

    Raises:
        WindtunnelError: Names repeat, or a warm start points to no cheaper cell.
    """

    asynchronous = False

    def __init__(self, cells: Sequence[Cell], axes: Sequence[Axis]) -> None:
        self.cells = tuple(sorted(cells, key=lambda cell: cell.cost))
        self.axes = tuple(axes)
        if not axes or axes[0].name != "lr":
            raise WindtunnelError("ladder: the first axis must be lr, the learning rate")
        seen: set[str] = set()
        for cell in self.cells:
            if cell.name in seen:
                raise WindtunnelError(f"ladder: two cells are named '{cell.name}'")
            if cell.warm is not None and cell.warm not in seen:
                raise WindtunnelError(
                    f"ladder: '{cell.name}' starts from '{cell.warm}', which is no cheaper cell"
                )
            seen.add(cell.name)
        self._cell_of = {(c.template.rule, c.template.scale): c for c in self.cells}
        if len(self._cell_of) < len(self.cells):
            raise WindtunnelError("ladder: two cells have the same rule and scale")
        self._places: dict[int, tuple[Run, tuple[str, int, Place] | None]] = {}

    def next(self, table: Table[Run], budget: Budget, seed: int) -> Answer[Run]:
        """The cheapest cell's next runs; other cells' while that one waits."""
        if budget.spent:
            return Stop(budget.spent)
        known = self._losses(table)
        searches = self._searches(known)
        for cell in self.cells:
            search = searches.get(cell.name)
            if search is not None and search.step.indices:
                return self._decisions(cell, search)
        for cell in self.cells:
            replicate = self._next_replicate(cell, searches.get(cell.name), known)
            if replicate is not None:
                return [replicate]
        if len(searches) < len(self.cells) or any(not s.ended for s in searches.values()):
            return []
        return Stop(_summary(searches))

    def lines(self, table: Table[Run]) -> dict[str, tuple[Row[Run], ...]]:
        """The rows an optimum is fitted on: each ended cell's last learning-rate line, all seeds.

        Returns:
            By the cell's name; a cell that still searches, or where all diverged, is missing.
        """
        ended = {
            name: search.place
            for name, search in self._searches(self._losses(table)).items()
            if search.ended and search.place is not None
        }
        lines: dict[str, list[Row[Run]]] = {name: [] for name in ended}
        for row in table:
            found = self._place(row)
            if found is not None and found[0] in ended and found[2][1:] == ended[found[0]][1:]:
                lines[found[0]].append(row)
        return {name: tuple(rows) for name, rows in lines.items()}

    def expected_runs(self, table: Table[Run]) -> dict[str, int]:
        """About how many more decisions each cell will take, for an estimate of the time left."""
        known = self._losses(table)
        searches = self._searches(known)
        expected = {}
        for cell in self.cells:
            search = searches.get(cell.name)
            decided = len(known.get((cell.name, 0), ()))
            more = 0
            if search is None or not search.ended:
                usual = sum(axis.points if cell.warm is None else 3 for axis in self.axes)
                more = max(1, usual + 2 * len(self.axes) - decided)
            wanted = _REPLICATED * (cell.seeds - 1)
            have = sum(len(known.get((cell.name, s), ())) for s in range(1, cell.seeds))
            expected[cell.name] = more + max(0, wanted - have)
        return expected

    def _searches(self, known: Mapping[tuple[str, int], Losses]) -> dict[str, _Search]:
        """Every cell that can be begun; the others wait for the cell they start from."""
        searches: dict[str, _Search] = {}
        for cell in self.cells:
            warm = None if cell.warm is None else searches.get(cell.warm)
            if cell.warm is not None and (warm is None or not warm.ended):
                continue
            searches[cell.name] = self._search(cell, warm, known.get((cell.name, 0), {}))
        return searches

    def _search(self, cell: Cell, warm: _Search | None, losses: Losses) -> _Search:
        brackets, place = self._start(cell, warm)
        edges: list[str] = []
        # The learning rate again at the end: on the same line when nothing else has moved.
        for number in (*range(len(self.axes)), 0)[: None if len(self.axes) > 1 else 1]:
            axis = self.axes[number]
            line = {
                at[number]: loss
                for at, loss in losses.items()
                if _others(at, number) == _others(place, number)
            }
            step = next_step(line, brackets[number], axis.limits)
            if step.best is not None and step.stage in ("settled", "edge"):
                place = (*place[:number], step.best, *place[number + 1 :])
            if step.stage == "edge":
                edges.append(f"{cell.name}: {_edge_sentence(axis, step)}")
            if step.stage not in ("settled", "edge") or step.best is None:
                ended_without_best = step.stage == "edge"
                return _Search(
                    None if ended_without_best else place, step, axis.name, line, tuple(edges)
                )
            if number == 0:
                brackets[0] = _octave_around(step.best)
        return _Search(place, step, axis.name, line, tuple(dict.fromkeys(edges)))

    def _start(self, cell: Cell, warm: _Search | None) -> tuple[list[tuple[int, ...]], Place]:
        """First brackets, and where the axes stand that aren't searched yet."""
        if warm is None or warm.place is None:
            recipe = cell.template.recipe
            place = tuple(axis.index(getattr(recipe, axis.name)) for axis in self.axes)
            return [axis.bracket for axis in self.axes], place
        optimum = vertex(warm.line)
        assert optimum is not None, "a place has a best"
        rate = round(optimum + 2 * cell.shift)
        place = (rate, *warm.place[1:])
        brackets = [
            tuple(i for i in _octave_around(at) if axis.limits[0] <= i <= axis.limits[1])
            for axis, at in zip(self.axes, place, strict=True)
        ]
        return brackets, place

    def _decisions(self, cell: Cell, search: _Search) -> list[Decision[Run]]:
        assert search.place is not None, "only an ended cell has no place"
        number = next(n for n, axis in enumerate(self.axes) if axis.name == search.axis)
        purpose = f"{cell.name}: {search.step.stage} {search.axis}"
        return [
            Decision(
                self._run(cell, (*search.place[:number], index, *search.place[number + 1 :]), 0),
                purpose,
            )
            for index in search.step.indices
        ]

    def _next_replicate(
        self, cell: Cell, search: _Search | None, known: Mapping[tuple[str, int], Losses]
    ) -> Decision[Run] | None:
        if search is None or not search.ended or search.place is None:
            return None
        finite = [(loss, at) for at, loss in search.line.items() if loss is not None]
        best = sorted((loss, at) for loss, at in finite if math.isfinite(loss))[:_REPLICATED]
        for seed in range(1, cell.seeds):
            for _, index in best:
                place = (index, *search.place[1:])
                if place not in known.get((cell.name, seed), {}):
                    return Decision(
                        self._run(cell, place, seed), f"{cell.name}: seed {seed + 1} of the best"
                    )
        return None

    def _run(self, cell: Cell, place: Place, seed: int) -> Run:
        values = {a.name: a.value(at) for a, at in zip(self.axes, place, strict=True)}
        template = cell.template
        return template.replace(
            recipe=template.recipe.replace(**values),
            init_seed=template.init_seed + seed,
            data_seed=template.data_seed + seed,
        )

    def _losses(self, table: Table[Run]) -> dict[tuple[str, int], Losses]:
        """Losses by cell and seed, then by place on the grid."""
        known: dict[tuple[str, int], Losses] = {}
        for row in table:
            found = self._place(row)
            if found is None:
                continue
            name, seed, place = found
            loss = math.inf if row.done and row.loss is None else row.loss
            known.setdefault((name, seed), {})[place] = loss
        return known

    def _place(self, row: Row[Run]) -> tuple[str, int, Place] | None:
        """The row's cell, seed and grid point; None for a run of no cell of this ladder."""
        cached = self._places.get(row.number)
        if cached is None or cached[0] is not row.run:
            run = row.run
            cell = self._cell_of.get((run.rule, run.scale))
            place = None
            if cell is not None:
                at = tuple(axis.index(_field(run.recipe, axis.name)) for axis in self.axes)
                place = (cell.name, run.init_seed - cell.template.init_seed, at)
            cached = self._places[row.number] = (run, place)
        return cached[1]


def _field(recipe: Recipe, name: str) -> float:
    return float(getattr(recipe, name))


def _others(place: Place, number: int) -> Place:
    return (*place[:number], *place[number + 1 :])


def _octave_around(index: int) -> tuple[int, ...]:
    return (index - OCTAVE, index, index + OCTAVE)


def _edge_sentence(axis: Axis, step: SweepStep) -> str:
    if step.best is None:
        return f"every {axis.name} tried diverged, down to {MOST_WIDENINGS} octaves below"
    return (
        f"the best {axis.name}, {axis.value(step.best):.3g}, is still at the edge of what was "
        f"tried after {MOST_WIDENINGS} widenings"
    )


def _summary(searches: Mapping[str, _Search]) -> str:
    edges = [edge for search in searches.values() for edge in search.edges]
    return "; ".join(edges) if edges else "every cell has its optimum well inside what was tried"

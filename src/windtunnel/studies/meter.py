"""How far a step of a study is: for its bar, its live table and the estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from windtunnel.report.scales import ScaleLine
from windtunnel.scale import Run
from windtunnel.search.drive import Driver
from windtunnel.search.store import Store
from windtunnel.search.table import Row, Table

ExpectedRuns: TypeAlias = Callable[[Table[Run]], list[Run]]
Learned: TypeAlias = Callable[[Table[Run]], str]


class Meter:
    """Work done and to do, in seconds of one worker, from what finished runs took.

    Args:
        store: The study's runs.
        driver: The step's.
        expected: Runs that will still be decided.
        learned: What a table says of the target, in a few words.
    """

    def __init__(
        self, store: Store[Run], driver: Driver[Run], expected: ExpectedRuns, learned: Learned
    ) -> None:
        self._store = store
        self.driver = driver
        self._expected = expected
        self._learned = learned
        self._learned_from = -1
        self._words = ""
        self._scales: Sequence[ScaleLine] = ()
        self._refreshed = -1.0
        self._done = self._total = 0.0
        self._note = ""

    def done(self) -> float:
        """Seconds of work that is finished, a running run counting by its steps."""
        self._refresh()
        return self._done

    def total(self) -> float:
        """Seconds of all the work that is known or expected."""
        self._refresh()
        return max(self._total, 1e-9)

    def note(self) -> str:
        """Runs finished."""
        self._refresh()
        return self._note

    def learned(self) -> str:
        """What they say of the target."""
        self._refresh()
        return self._words

    def scales(self) -> Sequence[ScaleLine]:
        """What is trained at which scale."""
        self._refresh()
        return self._scales

    def _refresh(self) -> None:
        if time.monotonic() - self._refreshed < 0.5:
            return
        self._refreshed = time.monotonic()
        table = self.driver.table()
        results = self._store.results()
        seconds_a_unit = _seconds_a_unit(
            {row.run.key: row.run for row in self._store.list()}, results
        )

        def cost(run: Run) -> float:
            return run.scale.units * _nearest(seconds_a_unit, run)

        under_way = {p.number: p.step / max(1, p.steps) for p in self._store.progress()}
        first = self.driver.first
        self._done = sum(
            cost(row.run) * (1.0 if row.done else under_way.get(first + row.number, 0.0))
            for row in table
        )
        self._total = sum(cost(row.run) for row in table)
        self._total += sum(cost(run) for run in self._expected(table))
        self._scales = _lines(table, {number - first: share for number, share in under_way.items()})
        finished = sum(row.done for row in table)
        if finished != self._learned_from:
            self._learned_from, self._words = finished, self._learned(table)
        self._note = f"{finished} runs done"


def _lines(table: Table[Run], under_way: Mapping[int, float]) -> list[ScaleLine]:
    """A line a scale, cheapest first."""
    places: dict[tuple[str, int, int], list[Row[Run]]] = {}
    for row in table:
        scale = row.run.scale
        places.setdefault((row.run.rule, scale.width, scale.units), []).append(row)
    lines = []
    for (rule, width, units), rows in sorted(
        places.items(), key=lambda item: (item[0][1] ** 2 * item[0][2], item[0])
    ):
        best = min(
            (row for row in rows if row.loss is not None),
            key=lambda row: (row.loss, row.number),
            default=None,
        )
        lines.append(
            ScaleLine(
                rule=rule,
                width=width,
                units=units,
                done=sum(row.done for row in rows),
                running=tuple(under_way[row.number] for row in rows if row.number in under_way),
                waiting=sum(not row.done and row.number not in under_way for row in rows),
                best=None if best is None else best.loss,
                lr=None if best is None else best.run.recipe.lr,
            )
        )
    return lines


def _seconds_a_unit(
    runs: Mapping[str, Run], results: Mapping[int, Mapping[str, Any]]
) -> dict[tuple[int, int], float]:
    """Measured cost of one unit by (width, depth); the latest run of each size speaks."""
    measured = {}
    for result in results.values():
        run = runs.get(result["key"])
        if run is not None and result["units"] and result["seconds"]:  # an imported one took none
            size = (run.scale.width, run.scale.depth)
            measured[size] = result["seconds"] / result["units"]
    return measured


def _nearest(seconds_a_unit: Mapping[tuple[int, int], float], run: Run) -> float:
    """Cost of a unit at the run's size; a size not measured yet is scaled from the largest one."""
    size = (run.scale.width, run.scale.depth)
    if size in seconds_a_unit:
        return seconds_a_unit[size]
    if not seconds_a_unit:
        return float(size[0] * size[1]) * 1e-7
    known = max(seconds_a_unit)
    # Between a cost per unit that is all overhead and one that is all arithmetic.
    growth: float = (size[0] / known[0]) ** 1.3 * size[1] / known[1]
    return seconds_a_unit[known] * growth

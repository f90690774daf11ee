"""A table of finished runs into verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from windtunnel.comparing.cells import Cell, cells_of
from windtunnel.comparing.finished import MethodRuns
from windtunnel.comparing.judge import MethodAt, give_verdicts, measure_cell
from windtunnel.comparing.performance_profiles import PerformanceProfile, performance_profiles
from windtunnel.comparing.speed_up import Measure
from windtunnel.comparing.trend import Trend, trend
from windtunnel.comparing.tuning import TuningFlag, tuning_flags
from windtunnel.errors import WindtunnelError
from windtunnel.laws.transfer import LOSS_LIMIT_PERCENT

# A difference below what a transferred optimum may cost is none that anybody has to care about.
EFFECT = LOSS_LIMIT_PERCENT / 100

Overall = Literal["better", "none better", "cannot say"]


@dataclass(frozen=True, slots=True)
class CellVerdicts:
    """All methods at one scale.

    Attributes:
        cell: The runs.
        headline: Whether it is its workload's largest scale with runs of the baseline, whose
            verdicts count: those of all workloads are corrected for together. Each other scale is
            corrected for by itself.
        methods: The baseline apart.
    """

    cell: Cell
    headline: bool
    methods: tuple[MethodAt, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "workload": self.cell.workload,
            "scale": dict(self.cell.scale),
            "headline": self.headline,
            "methods": [one.to_json() for one in self.methods],
        }


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """What a table says of several methods.

    Attributes:
        table: What was judged.
        baseline: The method that all others are held against.
        effect: Difference of log loss that was asked about.
        cells: By workload, smallest scale first.
        trends: Of the speed-up in units with size, by workload and method.
        flags: What may have cost a method more than the others.
    """

    table: MethodRuns
    baseline: str
    effect: float
    cells: tuple[CellVerdicts, ...]
    trends: Mapping[tuple[str, str], Trend]
    flags: tuple[TuningFlag, ...]

    @property
    def headlines(self) -> list[tuple[CellVerdicts, MethodAt]]:
        """The verdicts that count, with where they were given."""
        return [(cell, one) for cell in self.cells if cell.headline for one in cell.methods]

    @property
    def overall(self) -> Overall:
        """`better` if a method is, and the baseline was tuned; `none better` if that is settled.

        A flag on the loser of a verdict unsettles it.
        """
        flagged = {flag.method for flag in self.flags}
        settled = True
        for _, one in self.headlines:
            if one.verdict == "better" and self.baseline not in flagged:
                return "better"
            lost = one.verdict == "worse" and one.method not in flagged
            settled &= lost or one.within
        return "none better" if settled else "cannot say"

    def profiles(self, measure: Measure = "units") -> dict[str, PerformanceProfile]:
        """Performance profiles over all scales and workloads, each a workload.

        The target is the loss at which speed-ups were read. Methods without one somewhere are left
        out, and there are none with fewer than two workloads.
        """
        times: dict[str, dict[str, float]] = {self.baseline: {}}
        for cell in self.cells:
            times[self.baseline][cell.cell.name] = 1.0
            for one in cell.methods:
                said = one.speed_up(measure)
                if said is not None and said.estimate is not None:
                    times.setdefault(one.method, {})[cell.cell.name] = 1 / said.estimate.value
        whole = {m: own for m, own in times.items() if len(own) == len(self.cells)}
        if len(self.cells) < 2 or len(whole) < 2:
            return {}
        return performance_profiles(whole)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "verdict": self.overall,
            "baseline": self.baseline,
            "effect": self.effect,
            "unit": self.table.unit,
            "metric": self.table.metric.name,
            "cells": [cell.to_json() for cell in self.cells],
            "trends": [
                {"workload": workload, "method": method, **found.to_json()}
                for (workload, method), found in self.trends.items()
            ],
            "performance_profiles": [one.to_json() for one in self.profiles().values()],
            "flags": [flag.to_json() for flag in self.flags],
            "source": self.table.source,
            "columns": [
                {"name": use.name, "heading": use.heading, "unit": use.unit, "given": use.given}
                for use in self.table.uses
            ],
            "remarks": list(self.table.remarks),
        }


def compare_methods(
    table: MethodRuns,
    baseline: str,
    *,
    effect: float = EFFECT,
    along: str | None = None,
    target: float | None = None,
) -> MethodComparison:
    """Compare every method with the baseline at every scale, and say how that goes on.

    Args:
        table: Finished runs.
        baseline: Name of the method to compare with.
        effect: Difference of log loss (so 0.005 is half a percent of it) that one cares about; by
            default what a transferred optimum may cost (`laws.transfer.LOSS_LIMIT_PERCENT`).
        along: Axis for the trend: a size axis, `params` or `flops`; by default params, else the
            first size axis that varies.
        target: Its value where the speed-up is to be foretold.

    Raises:
        WindtunnelError: The baseline has no run, no other method is there, the axis is unknown, or
            runs can't be told apart.
    """
    cells = cells_of(table, baseline)
    others = [method for method in table.methods if method != baseline]
    if not others:
        raise WindtunnelError(
            f"{table.source}: the only method is '{baseline}'; add runs of another to compare"
        )
    workloads = dict.fromkeys(cell.workload for cell in cells)
    last = {cell.workload: cell for cell in cells if baseline in cell.runs}
    measured = {
        (place, one.method): one
        for place, cell in enumerate(cells)
        for one in measure_cell(cell, table.methods, baseline)
    }
    judged: dict[tuple[int, str], MethodAt] = {}
    heads = {place for place, cell in enumerate(cells) if last.get(cell.workload) is cell}
    judged |= give_verdicts({k: v for k, v in measured.items() if k[0] in heads}, effect)
    for place in range(len(cells)):
        if place not in heads:
            judged |= give_verdicts({k: v for k, v in measured.items() if k[0] == place}, effect)
    found = tuple(
        CellVerdicts(cell, place in heads, tuple(judged[place, method] for method in others))
        for place, cell in enumerate(cells)
    )
    axis = along or _first_axis(cells, baseline)
    trends = {
        (workload, method): _trend(
            [cell for cell in found if cell.cell.workload == workload],
            method,
            baseline,
            axis,
            target,
        )
        for workload in workloads
        for method in others
    }
    return MethodComparison(table, baseline, effect, found, trends, tuning_flags(table))


def _trend(
    cells: Sequence[CellVerdicts], method: str, baseline: str, axis: str, target: float | None
) -> Trend:
    sizes, logs = [], []
    for one in cells:
        said = next(at for at in one.methods if at.method == method).speed_up("units")
        if said is not None and said.estimate is not None:
            sizes.append(size_of(one.cell, baseline, axis))
            logs.append(said.logs)
    return trend(axis, sizes, logs, target)


def _first_axis(cells: Sequence[Cell], baseline: str) -> str:
    for axis in ("params", *cells[0].scale):
        try:
            sizes = {size_of(cell, baseline, axis) for cell in cells if baseline in cell.runs}
        except WindtunnelError:
            continue
        if len(sizes) > 1:
            return axis
    return next(iter(cells[0].scale), "params")


def size_of(cell: Cell, baseline: str, axis: str) -> float:
    """The size of a scale along an axis: the baseline's model's, or FLOPs of its longest run.

    Raises:
        WindtunnelError: The runs have no such size.
    """
    if axis in cell.scale:
        return cell.scale[axis]
    runs = cell.runs[baseline]
    amounts = [
        getattr(run, axis)
        for run in runs[max(runs)].values()
        if axis in ("params", "flops") and getattr(run, axis) is not None
    ]
    if not amounts:
        known = ", ".join([*cell.scale, "params", "flops"])
        raise WindtunnelError(f"the runs at {cell.name} have no {axis}; choose from {known}")
    return float(max(amounts))

"""Final runs by workload, scale, method, length and seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windtunnel.comparing.finished import FinishedRun, MethodRuns
from windtunnel.errors import WindtunnelError

# Lengths that differ by no more are one: batches of different sizes don't divide one evenly.
_SAME_LENGTH = 0.02


@dataclass(frozen=True, slots=True)
class Cell:
    """All final runs of one workload at one scale.

    Attributes:
        workload: Its name; "" where there is one.
        scale: Value by size axis.
        runs: By method, then by length, then by seed. Lengths are those of the baseline's runs
            where they are nearly the same.
    """

    workload: str
    scale: Mapping[str, float]
    runs: Mapping[str, Mapping[float, Mapping[str, FinishedRun]]]

    @property
    def name(self) -> str:
        """`width 256, depth 4`, with the workload before it."""
        size = ", ".join(f"{axis} {value:g}" for axis, value in self.scale.items())
        return f"{self.workload}, {size}" if self.workload and size else self.workload or size

    def lengths(self, method: str) -> tuple[float, ...]:
        """Of a method's runs here, shortest first."""
        return tuple(sorted(self.runs.get(method, {})))


def cells_of(table: MethodRuns, baseline: str) -> tuple[Cell, ...]:
    """Group the final runs, smallest scale first.

    Raises:
        WindtunnelError: The baseline has no final run, or two runs differ in nothing but what
            they reached or were set to.
    """
    final = [run for run in table.runs if run.stage == "final"]
    if baseline not in {run.method for run in final}:
        methods = ", ".join(table.methods) or "no final run at all"
        raise WindtunnelError(
            f"{table.source}: no final run of the baseline '{baseline}'; there are {methods}"
        )
    found: dict[tuple[str, tuple[tuple[str, float], ...]], list[FinishedRun]] = {}
    for run in final:
        found.setdefault((run.workload, tuple(run.scale.items())), []).append(run)
    cells = [
        Cell(workload, dict(scale), _by_method(runs, baseline, table))
        for (workload, scale), runs in found.items()
    ]
    return tuple(sorted(cells, key=lambda cell: (cell.workload, _size(cell, baseline))))


def _by_method(
    runs: Sequence[FinishedRun], baseline: str, table: MethodRuns
) -> dict[str, dict[float, dict[str, FinishedRun]]]:
    lengths: list[float] = []
    grouped: dict[str, dict[float, dict[str, FinishedRun]]] = {}
    for run in sorted(runs, key=lambda one: one.method != baseline):
        near = [x for x in lengths if abs(math.log(x / run.units)) <= _SAME_LENGTH]
        length = min(near, key=lambda x: abs(math.log(x / run.units)), default=run.units)
        if not near:
            lengths.append(length)
        seeds = grouped.setdefault(run.method, {}).setdefault(length, {})
        if run.seed in seeds:
            raise WindtunnelError(
                f"{table.source}, lines {seeds[run.seed].line} and {run.line}: two final runs of "
                f"{run.method} with one scale, length and seed ('{run.seed}'); mark runs made for "
                "tuning in a column 'stage' (tuning, spot check), or choose with --where"
            )
        seeds[run.seed] = run
    return grouped


def _size(cell: Cell, baseline: str) -> float:
    """What the baseline's longest run costs there, or the product of the axes."""
    own = cell.runs.get(baseline) or next(iter(cell.runs.values()))
    longest = own[max(own)]
    flops = [run.flops for run in longest.values() if run.flops is not None]
    return max(flops) if flops else math.prod(cell.scale.values())

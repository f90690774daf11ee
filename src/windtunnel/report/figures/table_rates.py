"""Learning rate against loss for every size of a table's runs."""

from __future__ import annotations

from pathlib import Path

from windtunnel.laws.optimum import Optimum as LawOptimum
from windtunnel.laws.sweeps.judge import Sweep as TableSweep
from windtunnel.laws.sweeps.judge import TableTransfer
from windtunnel.report.content import Optimum, RatePoint, Sweep
from windtunnel.report.figures.rates import draw_panels
from windtunnel.report.figures.save import save_figure
from windtunnel.report.figures.style import styled
from windtunnel.report.formatting import amount


def draw_table_rates(found: TableTransfer, path: Path) -> None:
    """One panel for each set of the other axes' values, one curve a value of the first axis.

    Args:
        found: The verdict on a table.
        path: Ends in .svg, .png or .pdf.
    """
    axis = found.axes[0].axis
    groups: dict[str, list[Sweep]] = {}
    for sweep in found.sweeps:
        others = {name: value for name, value in sweep.scale.items() if name != axis}
        title = ", ".join(f"{amount(value)} {name}" for name, value in others.items())
        groups.setdefault(title, []).append(_drawn(sweep, axis))
    with styled():
        figure = draw_panels(list(groups.items()), found.table.metric.name, axis)
    save_figure(figure, path)


def _drawn(sweep: TableSweep, axis: str) -> Sweep:
    points = tuple(RatePoint(trial.value, trial.loss, trial.seed) for trial in sweep.trials)
    return Sweep("", round(sweep.scale[axis]), 1, 1, points, _known(sweep.optimum))


def _known(optimum: LawOptimum | None) -> Optimum | None:
    if optimum is None:
        return None
    low, high = optimum.ci90
    if low is None or high is None:
        return None
    return Optimum(optimum.value, (2**low, 2**high))

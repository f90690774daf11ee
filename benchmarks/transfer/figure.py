"""Loss against rate: a row an axis, a column a rule, a curve a size."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from analysis import AXES, Line, Sweep
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from settings import Setting

from windtunnel.report.figures.style import marker, ordered_colours, panels, styled

HEADROOM = 1.25  # how far above the row's best loss the panels go


def draw(setting: Setting, lines: list[Line], path: Path) -> None:
    """Write the figure as png and svg; the path comes without its suffix."""
    arms = list(dict.fromkeys(line.arm.name for line in lines))
    with styled(svg_hashsalt="transfer"):
        figure = Figure(figsize=(2.6 * len(arms), 6.2), layout="constrained")
        FigureCanvasAgg(figure)
        grid = panels(figure, len(AXES), len(arms), share_y="row")
        for row, axis in enumerate(AXES):
            sizes = list(setting.axis(axis))
            own = [line for line in lines if line.axis == axis]
            for column, line in enumerate(own):
                _panel(grid[row][column], line, sizes)
            optima = [sweep.optimum.loss for line in own for sweep in line.sweeps.values()]
            if optima:
                grid[row][0].set_ylim(0.98 * min(optima), HEADROOM * max(optima))
            grid[row][0].set_ylabel("validation loss, nats a byte")
            handles = [
                grid[row][0].plot(
                    [], [], color=colour, marker=marker(place), label=f"{axis} {size}"
                )[0]
                for place, (size, colour) in enumerate(
                    zip(sizes, ordered_colours(len(sizes)), strict=True)
                )
            ]
            grid[row][-1].legend(handles=handles, fontsize=8)
        for axes in grid[-1]:
            axes.set_xlabel("log2 of the rate at base")
        figure.savefig(path.with_suffix(".png"), dpi=110)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _panel(axes: Axes, line: Line, sizes: list[int]) -> None:
    slope = "" if line.drift is None else f"\ndrift {line.drift.slope:+.2f}"
    axes.set_title(f"{line.arm.name}{slope}")
    for place, (size, colour) in enumerate(zip(sizes, ordered_colours(len(sizes)), strict=True)):
        if size in line.sweeps:
            _curve(axes, line.sweeps[size], colour, marker(place))


def _curve(axes: Axes, sweep: Sweep, colour: str, symbol: str) -> None:
    finite = {rate: at for rate, at in sorted(sweep.losses.items()) if all(map(math.isfinite, at))}
    means = [statistics.fmean(at) for at in finite.values()]
    axes.plot(list(finite), means, color=colour, marker=symbol, markersize=3.5, linewidth=1.2)
    low, high = [min(at) for at in finite.values()], [max(at) for at in finite.values()]
    axes.fill_between(list(finite), low, high, color=colour, alpha=0.15, linewidth=0)
    optimum = sweep.optimum
    axes.plot(
        [optimum.log2_value], [optimum.loss], color=colour, marker=symbol, markersize=9, zorder=3
    )

"""What each row lies off the law, against each input: is anything left that the law should know?"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from windtunnel.laws.law import Law
from windtunnel.laws.table import RunTable
from windtunnel.report.figures.law_axes import input_label, mark_log_axis
from windtunnel.report.figures.style import (
    FAINT,
    INK,
    legend_above,
    ordered_colours,
    panels,
    styled,
)
from windtunnel.report.formatting import MINUS

_PANEL = 4.4  # inches
_MOST_SHOWN = 3.0  # times the largest residual of the rows used, before left-out rows are clipped

Mask = NDArray[np.bool_]
_USED, _OUTLIER, _LEFT_OUT = "used", "used, an outlier", "left out"
_FARTHER = "left out, farther off than shown"


def residuals_figure(law: Law, table: RunTable, used: Mask, outliers: Mask) -> Figure:
    """One panel an input; above zero a run did worse than the law says.

    Args:
        law: The fitted law.
        table: All rows, those left out as well.
        used: (n,) the rows that the law was fitted to.
        outliers: (n,) those of them that lie far off it.
    """
    inputs = {name: table.numbers[name] for name in law.inputs}
    can = np.all([np.isfinite(values) & (values > 0) for values in inputs.values()], axis=0)
    can &= np.isfinite(table.loss)
    share = law.fitted.form.space == "log"
    said = np.full(len(table), np.nan)
    said[can] = law({name: values[can] for name, values in inputs.items()})
    off = 100 * (table.loss / said - 1) if share else table.loss - said
    kinds = {
        _USED: can & used & ~outliers,
        _OUTLIER: can & used & outliers,
    }
    most = _MOST_SHOWN * max(float(np.abs(off[can & used]).max(initial=0.0)), 1e-6)
    clipped = np.clip(off, -most, most)
    kinds[_LEFT_OUT] = can & ~used & (off == clipped)
    kinds[_FARTHER] = can & ~used & (off != clipped)
    with styled():
        figure = Figure(figsize=(_PANEL * len(inputs), 3.6), layout="constrained")
        grid = panels(figure, 1, len(inputs), share_y=True)[0]
        for axes, (name, values) in zip(grid, inputs.items(), strict=True):
            axes.set_xscale("log")
            axes.axhline(0.0, color=INK.light, linewidth=1.2, zorder=2)
            for kind, own in kinds.items():
                _draw(axes, values[own], clipped[own], kind)
            axes.set_xlabel(input_label(name))
            mark_log_axis(axes.xaxis, *axes.get_xlim())
        unit = "%" if share else "in its own unit"
        grid[0].set_ylabel(f"{law.metric}, measured less law ({unit})")
        grid[0].yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        grid[0].yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:+g}".replace("-", MINUS) if value else "0")
        )
        handles: list[Artist] = [
            Line2D([], [], label=f"{kind} ({int(own.sum())})", **_style(kind))
            for kind, own in kinds.items()
            if own.any()
        ]
        legend_above(figure, handles, columns=len(handles))
    return figure


def _draw(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], kind: str) -> None:
    axes.plot(x, y, **_style(kind), zorder=3 if kind == _USED else 4)


def _style(kind: str) -> dict[str, Any]:
    """Shape tells them apart as well as colour."""
    low, *_, high = ordered_colours(8)
    shapes: dict[str, dict[str, Any]] = {
        _USED: {"marker": "o", "color": high, "markersize": 4, "markeredgewidth": 0},
        _OUTLIER: {"marker": "D", "color": low, "markersize": 6},
        _LEFT_OUT: {
            "marker": "x",
            "color": FAINT.light,
            "markersize": 6,
            "markeredgewidth": 1.6,
        },
        _FARTHER: {"marker": "^", "color": FAINT.light, "markersize": 7},
    }
    return {**shapes[kind], "linestyle": ""}

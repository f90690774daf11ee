"""The coordinate check: do activations and updates keep their size as width grows?"""

from __future__ import annotations

import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from windtunnel.report.content import Check, CheckCurve, StudyContent
from windtunnel.report.figures.style import legend_above, marker, ordered_colours, panels
from windtunnel.report.formatting import fixed

_QUANTITIES = {
    "activation": "activation",
    "update": "change since init",
    "own update": "change by own weights",
}
_LEGEND_CHARACTERS = 138  # what fits in one row above two panels


def draw_coordinates(content: StudyContent) -> Figure:
    """One column a rule, one row a quantity; a line a module, a colour and marker a kind."""
    rules = [rule for rule in content.rules if rule in content.check]
    curves = {rule: _last_step(content.check[rule]) for rule in rules}
    everything = [point for points in curves.values() for point in points]
    quantities = [name for name in _QUANTITIES if any(p.quantity == name for p in everything)]
    kinds = list(dict.fromkeys(_kind(point.module) for point in everything))
    handles = [
        Line2D([], [], color=colour, marker=marker(place), markersize=4.5, label=kind)
        for place, (kind, colour) in enumerate(zip(kinds, ordered_colours(len(kinds)), strict=True))
    ]
    columns = max(1, _LEGEND_CHARACTERS // (8 + max(map(len, kinds), default=1)))
    legend_rows = -(-len(kinds) // columns)
    figure = Figure(
        figsize=(9.6 if len(rules) > 1 else 6.4, 0.5 + 0.22 * legend_rows + 2.9 * len(quantities)),
        layout="constrained",
    )
    grid = panels(figure, max(1, len(quantities)), len(rules), share_y="row")
    for column, rule in enumerate(rules):
        for row, quantity in enumerate(quantities):
            points = [point for point in curves[rule] if point.quantity == quantity]
            _draw_panel(grid[row][column], points, kinds)
        grid[0][column].set_title(_title(rule, content.check[rule]))
        grid[-1][column].set_xlabel("width (log scale)")
    for row, quantity in enumerate(quantities):
        grid[row][0].set_ylabel(f"{_QUANTITIES[quantity]}, RMS")
        _mark_heights(grid[row][0])
    legend_above(figure, handles, columns)
    return figure


def _title(rule: str, check: Check) -> str:
    if check.max_abs_slope is None:
        return f"{rule}: {check.verdict}"
    return f"{rule}: {check.verdict}, largest slope {fixed(check.max_abs_slope, 2)}"


def _last_step(check: Check) -> list[CheckCurve]:
    along_width = [point for point in check.curves if point.axis == "width"]
    last = max((point.step for point in along_width), default=0)
    return [point for point in along_width if point.step == last]


def _kind(module: str) -> str:
    """The module's name with `*` for the block's index: all blocks look alike in the picture."""
    return re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", module)


def _draw_panel(axes: Axes, points: list[CheckCurve], kinds: list[str]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    colours = ordered_colours(len(kinds))
    for module in dict.fromkeys(point.module for point in points):
        place = kinds.index(_kind(module))
        line = sorted(
            (point.size, point.rms)
            for point in points
            if point.module == module and point.rms  # an all-zero activation has no logarithm
        )
        axes.plot(
            [size for size, _ in line],
            [rms for _, rms in line],
            color=colours[place],
            marker=marker(place),
            markersize=4.5,
            linewidth=1.4,
        )
    sizes = sorted({point.size for point in points})
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _mark_heights(axes: Axes) -> None:
    """Label 1, 2 and 5 where the whole axis spans few decades, else every decade."""
    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rms, _: f"{rms:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())

"""Learning rate against loss for every width: does the best rate stay put as models grow?"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from windtunnel.report.content import StudyContent, Sweep
from windtunnel.report.figures.style import (
    FAINT,
    INK,
    legend_above,
    marker,
    ordered_colours,
    panels,
)
from windtunnel.report.formatting import amount, power_of_two

# Shares of a panel's height.
_ROW = 0.055  # one optimum's range, below the curves
_HEADROOM = 0.1  # above the curves, for the crosses
_CROSSES = 0.975


def draw_rates(content: StudyContent) -> Figure:
    """One panel a rule and training length; the chosen rule first, beside the others."""
    return draw_panels(_groups(content), f"final validation {content.metric}")


def draw_panels(
    groups: Sequence[tuple[str, Sequence[Sweep]]], loss: str, axis: str = "width"
) -> Figure:
    """One panel a group of sweeps, one curve a sweep.

    Args:
        groups: Title and sweeps of each panel.
        loss: What the vertical axes say.
        axis: What `Sweep.width` stands for.
    """
    every = [sweep for _, sweeps in groups for sweep in sweeps]
    widths = sorted({sweep.width for sweep in every})
    columns = min(2, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure = Figure(figsize=(9.6 if columns == 2 else 6.4, 0.5 + 3.9 * rows), layout="constrained")
    grid = panels(figure, rows, columns, share_y=True)
    axes_in_order = [axes for row in grid for axes in row]
    top = _top(every)
    for axes, (title, sweeps) in zip(axes_in_order, groups, strict=False):
        _draw_panel(axes, sweeps, widths, top)
        axes.set_title(title)
        axes.set_xlabel("learning rate (log scale)")
    axes_in_order[0].set_ylim(_limits(every, top, len(widths)))
    for row in grid:
        row[0].set_ylabel(loss)
    for unused in axes_in_order[len(groups) :]:
        unused.remove()
    handles = [
        Line2D(
            [],
            [],
            color=colour,
            marker=marker(place),
            markersize=5,
            label=f"{axis} {width if width < 1e5 else amount(width)}",
        )
        for place, (width, colour) in enumerate(
            zip(widths, ordered_colours(len(widths)), strict=True)
        )
    ]
    handles.append(
        Line2D(
            [],
            [],
            color=FAINT.light,
            marker="o",
            markerfacecolor="none",
            markersize=8,
            label="best rate, with its 90 % range below",
        )
    )
    # One panel is too narrow for a long row of labels.
    legend_above(figure, handles, columns=len(handles) if columns == 2 else min(len(handles), 3))
    return figure


def _groups(content: StudyContent) -> list[tuple[str, list[Sweep]]]:
    """Sweeps by rule and length: first the length most rules share, the chosen rule leading."""
    groups: dict[tuple[str, int, int], list[Sweep]] = defaultdict(list)
    for sweep in content.sweeps:
        groups[sweep.rule, sweep.depth, sweep.units].append(sweep)
    shared = Counter(units for _, _, units in groups)

    def order(key: tuple[str, int, int]) -> tuple[int, int, int, int]:
        rule, depth, units = key
        return (-shared[units], -units, content.rules.index(rule), depth)

    return [
        (
            f"{rule}, {amount(units)} {content.unit}, depth {depth}",
            sorted(groups[rule, depth, units], key=lambda sweep: sweep.width),
        )
        for rule, depth, units in sorted(groups, key=order)
    ]


def _means(sweep: Sweep) -> tuple[list[float], list[float]]:
    """Rates at which every seed finished, and the mean loss over seeds there."""
    by_rate: dict[float, list[float | None]] = defaultdict(list)
    for point in sweep.points:
        by_rate[point.lr].append(point.loss)
    rates, means = [], []
    for rate, losses in sorted(by_rate.items()):
        finished = [loss for loss in losses if loss is not None]
        if len(finished) == len(losses):
            rates.append(rate)
            means.append(fmean(finished))
    return rates, means


def _top(sweeps: Sequence[Sweep]) -> float:
    """The highest loss worth drawing: a run that blew up must not flatten every curve."""
    losses = [point.loss for sweep in sweeps for point in sweep.points if point.loss is not None]
    if not losses:
        return 1.0
    bests = [min(means, default=math.inf) for _, means in map(_means, sweeps)]
    worst_best = max((best for best in bests if math.isfinite(best)), default=max(losses))
    reach = max(2.5 * (worst_best - min(losses)), 0.15 * abs(worst_best))
    return min(max(losses), worst_best + reach)


def _limits(sweeps: Sequence[Sweep], top: float, rows: int) -> tuple[float, float]:
    """The panels' shared ends: below the curves there is room for `rows` ranges."""
    losses = [point.loss for sweep in sweeps for point in sweep.points if point.loss is not None]
    lowest = min(losses, default=0.0)
    span = (top - lowest) or 1.0
    room = _ROW * (rows + 1)
    height = span / (1 - room - _HEADROOM)
    return lowest - room * height, top + _HEADROOM * height


def _draw_panel(axes: Axes, sweeps: Sequence[Sweep], widths: list[int], top: float) -> None:
    axes.set_xscale("log", base=2)
    for sweep in sweeps:
        place = widths.index(sweep.width)
        colour = ordered_colours(len(widths))[place]
        rates, means = _means(sweep)
        shown = [p for p in sweep.points if p.loss is not None and p.loss <= top]
        axes.plot(rates, means, color=colour, linewidth=1.6, zorder=3)
        axes.plot(
            [point.lr for point in shown],
            [point.loss or math.nan for point in shown],
            marker(place),
            color=colour,
            markersize=5.5,
            alpha=0.75,
            markeredgewidth=0,
            zorder=4,
        )
        off = sorted({p.lr for p in sweep.points if p.loss is None or p.loss > top})
        axes.plot(
            off,
            [_CROSSES - 0.035 * place] * len(off),
            "x",
            color=colour,
            markersize=6,
            transform=axes.get_xaxis_transform(),
            zorder=5,
        )
        _draw_optimum(axes, sweep, rates, means, colour, height=_ROW * (len(widths) - place))
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: power_of_two(rate)))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_optimum(
    axes: Axes, sweep: Sweep, rates: list[float], means: list[float], colour: str, height: float
) -> None:
    """A ring on the curve at the best rate; its range in a row of its own below the curves."""
    if sweep.optimum is None or not rates:
        return
    best, (low, high) = sweep.optimum.lr, sweep.optimum.ci90
    loss = float(np.interp(math.log(best), np.log(rates), means))
    axes.plot([best], [loss], "o", markersize=10, markerfacecolor="none", color=INK.light, zorder=6)
    below = axes.get_xaxis_transform()
    axes.plot([low, high], [height] * 2, color=colour, linewidth=3, alpha=0.55, transform=below)
    axes.plot([best], [height], "o", color=colour, markersize=6, transform=below, zorder=5)

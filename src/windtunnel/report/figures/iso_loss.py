"""Which sizes and lengths of training reach the same loss, and which of them cost least."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.optimum import optimal_params
from windtunnel.laws.deciding.surface import Surface, surface_of
from windtunnel.laws.deciding.tokens_for import tokens_for
from windtunnel.laws.law import Law
from windtunnel.report.figures.frontier import held_inputs
from windtunnel.report.figures.law_axes import PLAN, TARGET, input_label, mark_log_axis
from windtunnel.report.figures.style import (
    FAINT,
    FORECAST,
    legend_above,
    marker,
    ordered_colours,
    panels,
    styled,
)

_LEVELS = 6
_SIZES = 120
_BUDGETS = 9  # each is searched once for each draw
_ROOM = 2.0


def iso_loss_figure(
    law: Law,
    target: Mapping[str, float] | None = None,
    plan: Mapping[str, float] | None = None,
) -> Figure:
    """Curves of equal loss over model size and tokens.

    Args:
        law: Of a form with parameters and tokens.
        target: What is forecast.
        plan: What is to be trained.

    Raises:
        WindtunnelError: The form has no parameters or no tokens.
    """
    surface = surface_of(law, held_inputs(law, target))
    params, tokens = law.inputs["params"], law.inputs["tokens"]
    marks = [
        (point, shown) for point, shown in ((target, TARGET), (plan, PLAN)) if point is not None
    ]
    size_ends = _ends(np.append(params, [point["params"] for point, _ in marks]))
    token_ends = _ends(np.append(tokens, [point["tokens"] for point, _ in marks]))
    with styled():
        figure = Figure(figsize=(8.8, 5.6), layout="constrained")
        axes = panels(figure, 1, 1, share_y=False)[0][0]
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(*size_ends)
        axes.set_ylim(*token_ends)
        _draw_levels(axes, law, surface, size_ends, token_ends)
        axes.plot(params, tokens, "o", color=FAINT.light, markersize=3.5, zorder=3)
        handles: list[Artist] = [
            Line2D([], [], color=FAINT.light, marker="o", markersize=4, linestyle="", label="a run")
        ]
        compute = 6.0 * params * tokens
        least, most = float(compute.min()), float(compute.max())
        most = max([most, *(6.0 * point["params"] * point["tokens"] for point, _ in marks)])
        handles += _draw_optimum(axes, surface, np.geomspace(least, _ROOM * most, _BUDGETS))
        for point, (label, shown) in marks:
            axes.plot([point["params"]], [point["tokens"]], linestyle="", zorder=6, **shown)
            handles.append(Line2D([], [], linestyle="", label=label, **shown))
        axes.set_xlabel(input_label("params"))
        axes.set_ylabel(input_label("tokens"))
        mark_log_axis(axes.xaxis, *size_ends)
        mark_log_axis(axes.yaxis, *token_ends)
        legend_above(figure, handles, columns=4)
    return figure


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()) / _ROOM, float(values.max()) * _ROOM


def _draw_levels(
    axes: Axes,
    law: Law,
    surface: Surface,
    size_ends: tuple[float, float],
    token_ends: tuple[float, float],
) -> None:
    sizes = np.geomspace(*size_ends, _SIZES)
    best = float(surface.best(np.array([size_ends[1]]), np.array([token_ends[1]]))[0])
    levels = round_levels(best, float(np.quantile(law.observed, 0.9)))
    colours = ordered_colours(len(levels))
    decimals = max(len(f"{level:g}".partition(".")[2]) for level in levels)
    for level, colour in zip(levels, reversed(colours), strict=True):
        tokens = tokens_for(surface.best, sizes, level)
        tokens = np.where(np.isfinite(tokens), tokens, np.nan)
        axes.plot(sizes, tokens, color=colour, linewidth=1.6, zorder=2)
    places = range(len(levels))
    handles = [
        Line2D([], [], color=colour, linewidth=1.6, label=f"{level:.{decimals}f}")
        for level, colour in zip(levels, reversed(colours), strict=True)
    ]
    # Markers along the curves, for those who tell the colours apart badly.
    for place, line, handle in zip(places, axes.lines, handles, strict=True):
        for each in (line, handle):
            each.set_marker(marker(place))
            each.set_markersize(5)
        line.set_markevery((7 * (1 + place), 31))
    axes.legend(handles=handles, title=law.metric, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def round_levels(best: float, worst: float) -> list[float]:
    """A few losses above the best, from it to the worst, evenly apart in the log and round."""
    spaced = best * (worst / best) ** np.linspace(0.1, 1.0, _LEVELS)
    gap = float(spaced[1] - spaced[0])
    decimals = max(0, int(np.ceil(-np.log10(gap / 2))))
    rounded = sorted({round(float(each), decimals) for each in spaced})
    return [each for each in rounded if each > best]


def _draw_optimum(axes: Axes, surface: Surface, budgets: NDArray[np.float64]) -> list[Artist]:
    best = optimal_params(surface.best, budgets)
    drawn = np.stack([optimal_params(metric, budgets) for metric in surface.drawn])
    widening = surface.law.spread.widening
    ranges = [
        Estimate.of(float(size), each, widening=widening).ci90
        for size, each in zip(best, drawn.T, strict=True)
    ]
    low = np.array([one[0] for one in ranges])
    high = np.array([one[1] for one in ranges])
    # One budget's range lies along its own line of equal compute.
    axes.fill(
        np.append(low, high[::-1]),
        np.append(budgets / low, (budgets / high)[::-1]) / 6.0,
        color=FORECAST.light,
        alpha=0.18,
        linewidth=0,
        zorder=1,
    )
    axes.plot(best, budgets / (6.0 * best), color=FORECAST.light, linewidth=2.2, zorder=4)
    return [
        Line2D([], [], color=FORECAST.light, linewidth=2.2, label="compute-optimal, 90 % range")
    ]

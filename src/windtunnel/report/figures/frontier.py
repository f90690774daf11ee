"""Loss against compute: the rows, the law at each size, the compute-optimal frontier, the target.

A law that knows no compute is drawn against the input that varies most.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from windtunnel.laws.deciding.compute import six_per_parameter
from windtunnel.laws.deciding.optimum import optimal_params, size_bounds
from windtunnel.laws.deciding.surface import surface_of
from windtunnel.laws.forecasting import LawForecast, forecast_law
from windtunnel.laws.law import Law
from windtunnel.report.figures.classes import Classes, classes_of
from windtunnel.report.figures.law_axes import (
    PLAN,
    input_label,
    mark_log_axis,
    mark_metric_axis,
    metric_label,
)
from windtunnel.report.figures.save import save_figure
from windtunnel.report.figures.style import (
    FAINT,
    FORECAST,
    INK,
    PAPER,
    legend_above,
    marker,
    ordered_colours,
    panels,
    styled,
)
from windtunnel.report.formatting import input_words, quantity

_POINTS = 60
_BEYOND = 10.0  # times the largest run's compute that is shown where no target asks for more
_ROOM = 1.6  # times the farthest thing shown
_NEAR_END = 1e-2  # nats from the end of the search at which a budget has no best size
_RATIO_ROOM = 3.0  # tokens a parameter that a size's curve goes beyond those measured


def draw_frontier(law: Law, path: Path, target: Mapping[str, float] | None = None) -> None:
    """Draw a law to a file.

    Args:
        law: The fitted law.
        path: Ends in .svg, .png or .pdf.
        target: What is forecast, a value for each of the law's inputs.

    Raises:
        WindtunnelError: The path ends in something else, or the target lacks an input.
    """
    save_figure(frontier_figure(law, target), path)


def frontier_figure(
    law: Law,
    target: Mapping[str, float] | None = None,
    plan: Mapping[str, float] | None = None,
) -> Figure:
    """The same as a figure.

    Args:
        law: The fitted law.
        target: What is forecast.
        plan: What is to be trained, for a law in parameters and tokens.
    """
    with styled():
        figure = Figure(figsize=(8.8, 5.2), layout="constrained")
        axes = panels(figure, 1, 1, share_y=False)[0][0]
        said = None if target is None else forecast_law(law, target)
        if {"params", "tokens"} <= set(law.inputs):
            handles = _draw_compute(axes, law, target, said, plan)
        else:
            handles = _draw_input(axes, law, target, said)
        axes.set_ylabel(metric_label(law) + (", log scale" if axes.get_yscale() == "log" else ""))
        mark_metric_axis(axes.yaxis, *axes.get_ylim())
        mark_log_axis(axes.xaxis, *axes.get_xlim())
        legend_above(figure, handles, columns=2 if len(handles) == 4 else 3)
    return figure


def held_inputs(law: Law, target: Mapping[str, float] | None) -> dict[str, float]:
    """Inputs but parameters and tokens: the target's, or the middle of the rows'."""
    return {
        name: (target or {}).get(name, float(np.exp(np.median(np.log(values)))))
        for name, values in law.inputs.items()
        if name not in ("params", "tokens")
    }


def _draw_compute(
    axes: Axes,
    law: Law,
    target: Mapping[str, float] | None,
    said: LawForecast | None,
    plan: Mapping[str, float] | None,
) -> list[Artist]:
    compute = 6.0 * law.inputs["params"] * law.inputs["tokens"]
    at = None if target is None else 6.0 * target["params"] * target["tokens"]
    planned = None if plan is None else 6.0 * plan["params"] * plan["tokens"]
    low, high = float(compute.min()), float(compute.max())
    marked = [each for each in (at, planned) if each is not None]
    end = _ROOM * max([high, *marked]) if marked else _BEYOND * high
    fixed = held_inputs(law, target)
    sizes = classes_of(law.inputs["params"])
    ratios = law.inputs["tokens"] / law.inputs["params"]
    fewest, most = float(ratios.min()) / _RATIO_ROOM, float(ratios.max()) * _RATIO_ROOM
    lowest = float(law.observed.min()) if said is None else min(law.observed.min(), said.ci90[0])
    budgets, losses, lows, highs = _frontier(law, np.geomspace(low, end, _POINTS), fixed)
    _log_limits(axes, law, min(lowest, *lows) if budgets.size else lowest)
    axes.set_xlim(low / _ROOM, end)
    axes.set_xscale("log")
    axes.set_xlabel("training compute (FLOPs = 6 \u00d7 parameters \u00d7 tokens), log scale")
    for size, colour in zip(sizes.centres, ordered_colours(sizes.centres.size), strict=True):
        tokens = np.geomspace(fewest * size, most * size, _POINTS)
        curve = law({"params": np.full(_POINTS, size), "tokens": tokens, **_full(fixed, _POINTS)})
        axes.plot(6.0 * size * tokens, curve, color=colour, linewidth=1.2, zorder=2)
    _draw_rows(axes, compute, law.observed, sizes)
    _size_legend(axes, sizes, "parameters")
    handles: list[Artist] = [
        _handle(INK.light, "a run", marker="o", linestyle=""),
        _handle(INK.light, "law at one size"),
    ]
    if budgets.size:
        _draw_band(axes, budgets, losses, lows, highs)
        handles.append(_handle(FORECAST.light, "compute-optimal, 90 % range", linewidth=2.2))
    handles += _draw_target(axes, at, said)
    if plan is not None and planned is not None:
        label, shown = PLAN
        axes.plot([planned], [forecast_law(law, plan).value], linestyle="", zorder=5, **shown)
        handles.append(Line2D([], [], linestyle="", label=label, **shown))
    return handles


def _frontier(
    law: Law, budgets: NDArray[np.float64], fixed: Mapping[str, float]
) -> tuple[NDArray[np.float64], ...]:
    """Budgets that have a best size, the loss there, and its range's ends."""
    sizes = optimal_params(surface_of(law, fixed).best, budgets)
    low, high = size_bounds(budgets, six_per_parameter)
    kept = np.minimum(np.log(sizes / low), np.log(high / sizes)) > _NEAR_END
    said = [
        forecast_law(law, {"params": size, "tokens": budget / (6.0 * size), **fixed})
        for size, budget in zip(sizes[kept], budgets[kept], strict=True)
    ]
    return (
        budgets[kept],
        np.array([one.value for one in said]),
        np.array([one.ci90[0] for one in said]),
        np.array([one.ci90[1] for one in said]),
    )


def _draw_input(
    axes: Axes, law: Law, target: Mapping[str, float] | None, said: LawForecast | None
) -> list[Artist]:
    """Against the input that varies most, a curve for each class of the next one."""
    spans = {name: float(np.ptp(np.log(values))) for name, values in law.inputs.items()}
    name, *others = sorted(spans, key=lambda each: -spans[each])
    values = law.inputs[name]
    at = None if target is None else target[name]
    ends = [float(values.min()), float(values.max()), *([] if at is None else [at])]
    grid = np.geomspace(min(ends), max(ends), _POINTS)
    axes.set_xscale("log")
    room = (max(ends) / min(ends)) ** 0.04
    axes.set_xlim(min(ends) / room, max(ends) * room)
    axes.set_xlabel(input_label(name))
    handles: list[Artist] = [_handle(INK.light, "a run", marker="o", linestyle="")]
    held = {other: (target or {}).get(other, float(law.inputs[other].max())) for other in others}
    band = [forecast_law(law, {name: float(each), **held}) for each in grid]
    lows = np.array([one.ci90[0] for one in band])
    highs = np.array([one.ci90[1] for one in band])
    _log_limits(axes, law, float(lows.min()))
    if others:
        classes = classes_of(law.inputs[others[0]])
        for centre, colour in zip(
            classes.centres, ordered_colours(classes.centres.size), strict=True
        ):
            own = {name: grid, **_full({**held, others[0]: centre}, _POINTS)}
            axes.plot(grid, law(own), color=colour, linewidth=1.2, zorder=2)
        _draw_rows(axes, values, law.observed, classes)
        _size_legend(axes, classes, input_words(others[0]))
        said_of = ", ".join(
            f"{quantity(value)} {input_words(other)}" for other, value in held.items()
        )
        handles.append(_handle(INK.light, f"law at one number of {input_words(others[0])}"))
        label = f"law at {said_of}, 90 % range"
    else:
        axes.plot(values, law.observed, "o", color=INK.light, markersize=4.5, zorder=3)
        label = "law, 90 % range"
    _draw_band(axes, grid, np.array([one.value for one in band]), lows, highs)
    handles.append(_handle(FORECAST.light, label, linewidth=2.2))
    return handles + _draw_target(axes, at, said)


def _full(fixed: Mapping[str, float], count: int) -> dict[str, NDArray[np.float64]]:
    return {name: np.full(count, value) for name, value in fixed.items()}


def _log_limits(axes: Axes, law: Law, lowest: float) -> None:
    """From the lowest thing shown to the highest row; a log scale where the metric allows it."""
    highest = float(law.observed.max())
    if lowest > 0 and law.fitted.form.space == "log":
        axes.set_yscale("log")
        room = (highest / lowest) ** 0.05
        axes.set_ylim(lowest / room, highest * room)
    else:
        room = 0.05 * (highest - lowest)
        axes.set_ylim(lowest - room, highest + room)


def _draw_rows(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], classes: Classes
) -> None:
    for place, colour in enumerate(ordered_colours(classes.centres.size)):
        own = classes.place == place
        axes.plot(
            x[own],
            y[own],
            marker(place),
            color=colour,
            markersize=5,
            markeredgecolor=PAPER.light,
            markeredgewidth=0.4,
            zorder=3,
        )


def _size_legend(axes: Axes, classes: Classes, what: str) -> None:
    """Largest first, as its curve ends lowest."""
    about = "" if classes.exact else "about "
    handles = [
        Line2D([], [], color=colour, marker=marker(place), markersize=5, label=about + quantity(at))
        for place, (at, colour) in enumerate(
            zip(classes.centres, ordered_colours(classes.centres.size), strict=True)
        )
    ]
    axes.legend(handles=handles, title=what, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_band(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> None:
    axes.fill_between(x, low, high, color=FORECAST.light, alpha=0.18, linewidth=0, zorder=1)
    axes.plot(x, y, color=FORECAST.light, linewidth=2.2, zorder=4)


def _draw_target(axes: Axes, at: float | None, said: LawForecast | None) -> list[Artist]:
    if at is None or said is None:
        return []
    known = said.verdict != "cannot say"
    colour = INK.light if known else FAINT.light
    low, high = said.ci90
    axes.errorbar(
        [at],
        [said.value],
        yerr=[[said.value - low], [high - said.value]],
        fmt="*" if known else "x",
        color=colour,
        markersize=13 if known else 9,
        markeredgecolor=PAPER.light if known else colour,
        elinewidth=1.8,
        capsize=6,
        capthick=1.8,
        zorder=6,
    )
    words = (
        f"target: {said.value:.4g} (90 % range {low:.4g} to {high:.4g})"
        if known
        else f"target: cannot say (the law's curve gives {said.value:.4g})"
    )
    return [_handle(colour, words, marker="*" if known else "x", markersize=10, linestyle="")]


def _handle(colour: str, label: str, **style: Any) -> Line2D:
    return Line2D([], [], color=colour, label=label, **style)

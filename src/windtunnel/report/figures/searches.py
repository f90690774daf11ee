"""What a search did: the best loss against what was spent, what mattered, and where trials lay."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from windtunnel.errors import WindtunnelError
from windtunnel.report.figures.style import FAINT, FORECAST, INK, ordered_colours, panels, styled
from windtunnel.report.searched import Searched
from windtunnel.search.importance import importances
from windtunnel.search.space import Choice, Float, Space
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial

_COLOURED = 0.1  # the best share of the trials


def search_figure(
    rows: Sequence[Row[Trial]],
    space: Space,
    *,
    cost: Sequence[float] | None = None,
    unit: str = "units of training",
    scale_axes: Sequence[str] = (),
) -> Figure:
    """Four pictures of one search.

    The best loss so far against what was spent; each parameter's importance; parallel
    coordinates, the best tenth in colour; and trials at each fidelity, or with `scale_axes` what
    was spent at each scale (`ladder`).

    Args:
        rows: Trials by number, as in `Tuned.trials`.
        space: What was searched.
        cost: (n,) what each trial cost; by default its fidelity beyond that of the trial it
            continues, and 1 where there is none.
        unit: What costs are counted in.
        scale_axes: Names in the trials' values that are axes of scale.

    Raises:
        WindtunnelError: No trial has a loss.
    """
    if not any(row.loss is not None for row in rows):
        raise WindtunnelError("search: no trial has a loss yet, so there is nothing to draw")
    spent = _costs(rows) if cost is None else np.asarray(cost, dtype=float)
    with styled():
        figure = Figure(figsize=(11, 7.4), layout="constrained")
        (curve, matter), (lines, where) = panels(figure, 2, 2, share_y=False)
        alike = _over_the_best_of_its_scale(rows, scale_axes) if scale_axes else rows
        _draw_best(curve, alike, spent, unit)
        if scale_axes:
            curve.set_title("Each trial against the best of its scale")
            curve.set_ylabel("loss over the scale's best")
        _draw_importances(matter, alike, space)
        _draw_coordinates(lines, alike, space)
        _draw_places(where, rows, spent, unit, scale_axes)
    return figure


def searched_figure(search: Searched) -> Figure:
    """The same of what a study's report holds, with costs in FLOPs."""
    space = Space({name: Float(*ends, log=True) for name, ends in search.ranges.items()})
    rows = [
        Row(
            number,
            Trial.of(trial.values, fidelity=trial.fidelity),
            search.policy,
            "diverged" if trial.loss is None else "finished",
            trial.loss,
        )
        for number, trial in enumerate(search.trials)
    ]
    return search_figure(
        rows,
        space,
        cost=[trial.flops for trial in search.trials],
        unit="FLOPs",
        scale_axes=search.scale_axes,
    )


def _over_the_best_of_its_scale(
    rows: Sequence[Row[Trial]], scale_axes: Sequence[str]
) -> list[Row[Trial]]:
    """Losses of different scales say nothing of each other; these do."""
    best: dict[tuple[float, ...], float] = {}
    for row in rows:
        if row.loss is not None:
            key = _order(row, scale_axes)
            best[key] = min(row.loss, best.get(key, row.loss))
    return [
        row
        if row.loss is None
        else dataclasses.replace(row, loss=row.loss / best[_order(row, scale_axes)])
        for row in rows
    ]


def _costs(rows: Sequence[Row[Trial]]) -> np.ndarray:
    fidelity = [1.0 if row.run.fidelity is None else row.run.fidelity for row in rows]
    before = [0.0 if row.run.continues is None else fidelity[row.run.continues] for row in rows]
    own: np.ndarray = np.array(fidelity) - np.array(before)
    return own


def _draw_best(axes: Axes, rows: Sequence[Row[Trial]], spent: np.ndarray, unit: str) -> None:
    """The best of the longest trials so far; a short one's loss is another thing."""
    longest = max((row.run.fidelity or 0.0) for row in rows if row.loss is not None)
    at, losses = np.cumsum(spent), []
    for row in rows:
        counts = row.loss is not None and (row.run.fidelity or 0.0) == longest
        losses.append(row.loss if counts and row.loss is not None else np.inf)
    best = np.minimum.accumulate(losses)
    known = np.isfinite(best)
    own = np.isfinite(losses)
    axes.plot(at[own], np.array(losses)[own], "o", color=FAINT.light, markersize=3.5, alpha=0.6)
    axes.step(at[known], best[known], where="post", color=FORECAST.light, linewidth=2)
    axes.set_title("The best loss so far")
    axes.set_xlabel(f"spent ({unit})")
    axes.set_ylabel("loss")
    top = float(np.quantile(np.array(losses)[own], 0.9))
    least = float(best[-1])
    if top > least:
        axes.set_ylim(least - 0.06 * (top - least), top)


def _draw_importances(axes: Axes, rows: Sequence[Row[Trial]], space: Space) -> None:
    shares = importances(rows, space)
    axes.set_title("What mattered")
    if not shares:
        axes.text(0.5, 0.5, "too few trials to say", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color=FORECAST.light, height=0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the differences that it explains alone (%)")
    axes.grid(axis="y", visible=False)


def _draw_coordinates(axes: Axes, rows: Sequence[Row[Trial]], space: Space) -> None:
    ended = sorted(
        (row for row in rows if row.loss is not None), key=lambda row: row.loss or 0.0, reverse=True
    )
    longest = max((row.run.fidelity or 0.0) for row in ended)
    shown = [row for row in ended if (row.run.fidelity or 0.0) == longest]
    best = max(1, round(_COLOURED * len(shown)))
    for place, row in enumerate(shown):
        values = row.run.values
        points = [
            (at, space.parameters[name].unit(values[name]))
            for at, name in enumerate(space.names)
            if name in values
        ]
        good = place >= len(shown) - best
        axes.plot(
            *zip(*points, strict=True),
            marker="o" if len(points) == 1 else "",  # a lone parameter has no lines
            color=FORECAST.light if good else FAINT.light,
            linewidth=1.6 if good else 0.7,
            alpha=1.0 if good else 0.35,
            zorder=3 if good else 2,
        )
    axes.set_title(f"Where the best {best} of {len(shown)} trials lay")
    axes.set_xticks(range(len(space)), space.names)
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    axes.grid(axis="y", visible=False)
    for at, parameter in enumerate(space.parameters.values()):
        if isinstance(parameter, Choice):
            marks = [(parameter.unit(value), str(value)) for value in parameter.values]
        else:
            marks = [(-0.08, f"{parameter.low:g}"), (1.08, f"{parameter.high:g}")]
        for unit, words in marks:
            axes.text(at, unit, f" {words}", color=INK.light, fontsize=8, va="center")


def _draw_places(
    axes: Axes,
    rows: Sequence[Row[Trial]],
    spent: np.ndarray,
    unit: str,
    scale_axes: Sequence[str],
) -> None:
    """Spending by scale, or by fidelity where there is one scale."""
    names = [
        ", ".join(f"{axis} {float(row.run.values[axis]):g}" for axis in scale_axes)
        if scale_axes
        else ("every trial" if row.run.fidelity is None else f"{row.run.fidelity:g}")
        for row in rows
    ]
    counts = Counter(names)
    totals = {name: float(spent[[n == name for n in names]].sum()) for name in counts}
    keys = {name: _order(rows[names.index(name)], scale_axes) for name in counts}
    order = sorted(counts, key=lambda name: keys[name], reverse=True)
    shades = ordered_colours(len(order))[::-1]
    axes.barh(order, [totals[name] for name in order], color=shades, height=0.6)
    for place, name in enumerate(order):
        axes.text(totals[name], place, f" {counts[name]}", color=INK.light, fontsize=8, va="center")
    axes.margins(x=0.1)
    axes.set_title("What was spent where, and in how many trials")
    axes.set_xlabel(f"spent ({unit})")
    axes.set_ylabel("scale" if scale_axes else "fidelity")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y", visible=False)


def _order(row: Row[Trial], scale_axes: Sequence[str]) -> tuple[float, ...]:
    if scale_axes:
        return tuple(float(row.run.values[axis]) for axis in scale_axes)
    return (row.run.fidelity or 0.0,)

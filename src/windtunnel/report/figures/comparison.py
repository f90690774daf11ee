"""Methods compared: differences, speed-ups against size, and performance profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from windtunnel.comparing.compare_methods import CellVerdicts, MethodComparison, size_of
from windtunnel.comparing.judge import MethodAt
from windtunnel.comparing.performance_profiles import LIMIT, PerformanceProfile
from windtunnel.comparing.speed_up import MEASURES, Measure
from windtunnel.comparing.trend import Trend
from windtunnel.errors import WindtunnelError
from windtunnel.report.figures.style import (
    FAINT,
    GRID,
    INK,
    PAPER,
    legend_above,
    marker,
    ordered_colours,
    panels,
    styled,
)
from windtunnel.report.formatting import amount

_ROW = 0.30  # inches
_DODGE = 0.07  # nats between methods at one size
_TICKS = (0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)


def comparison_figures(found: MethodComparison) -> dict[str, Figure]:
    """Every figure that the comparison has data for, by name."""
    figures = {}
    if any(one.difference is not None for cell in found.cells for one in cell.methods):
        figures["differences"] = differences_figure(found)
    if _measures(found):
        figures["speed-up"] = speed_up_figure(found)
    if profiles := found.profiles():
        figures["performance-profile"] = profile_figure(profiles, _all_colours(found))
    return figures


def differences_figure(found: MethodComparison) -> Figure:
    """A forest plot: the loss of each method over the baseline's, at every scale.

    Full markers are `better` or `worse`, open ones `no difference shown`; the band is the effect
    that was asked about. Scales at which nothing could be said are named.

    Raises:
        WindtunnelError: Nothing could be said anywhere.
    """
    rows = [
        (cell, one)
        for method in [one.method for one in found.cells[0].methods]
        for cell in found.cells
        for one in cell.methods
        if one.method == method
    ]
    if not any(one.difference for _, one in rows):
        raise WindtunnelError("comparison: no method could be compared, so there is no figure")
    colours = _colours(found)
    with styled():
        figure = Figure(figsize=(8.8, 1.3 + _ROW * len(rows)), layout="constrained")
        axes = panels(figure, 1, 1, share_y=False)[0][0]
        effect = 100 * found.effect
        axes.axvspan(-effect, effect, color=GRID.light, zorder=0, linewidth=0)
        axes.axvline(0, color=FAINT.light, linewidth=1, zorder=1)
        for place, (_, one) in enumerate(rows):
            _draw_difference(axes, place, one, colours[one.method])
        axes.set_yticks(range(len(rows)), [_row_label(cell, one) for cell, one in rows])
        for label, (cell, _) in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if cell.headline else "normal")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"final loss over {found.baseline}'s, %; lower is better; 90 % ranges")
        axes.xaxis.set_major_locator(MaxNLocator(7))
        legend_above(figure, _difference_handles(effect), columns=4)
    return figure


def speed_up_figure(found: MethodComparison) -> Figure:
    """Speed-up against size with 90 % ranges; the trend in units, and its forecast as open markers.

    Raises:
        WindtunnelError: No speed-up could be said.
    """
    measures = _measures(found)
    if not measures:
        raise WindtunnelError("comparison: no speed-up could be said, so there is no figure")
    workloads = list(dict.fromkeys(cell.cell.workload for cell in found.cells))
    colours = _colours(found)
    with styled():
        figure = Figure(
            figsize=(max(5.2, 3.4 * len(measures)), 0.9 + 3.3 * len(workloads)),
            layout="constrained",
        )
        grid = panels(figure, len(workloads), len(measures), share_y=True)
        for row, workload in zip(grid, workloads, strict=True):
            cells = [cell for cell in found.cells if cell.cell.workload == workload]
            for axes, measure in zip(row, measures, strict=True):
                for place, method in enumerate(colours, start=1):
                    said = found.trends[workload, method]
                    dodge = _DODGE * (place - (len(colours) + 1) / 2)
                    _draw_speed_ups(axes, found, cells, method, measure, said, dodge, place)
                    if measure == "units":
                        _draw_trend(axes, said, colours[method], dodge, place)
                axes.axhline(1, color=FAINT.light, linewidth=1, zorder=1)
                title = _measure_words(measure, found.table.unit)
                axes.set_title(f"{workload}: {title}" if workload else title)
                axes.set_xlabel(next(iter(found.trends.values())).axis)
            row[0].set_ylabel(f"times less than {found.baseline}\nfor one loss")
        _mark_speed_ups([axes for row in grid for axes in row], _sizes(found))
        legend_above(figure, _method_handles(found, colours), columns=4)
    return figure


def profile_figure(
    profiles: Mapping[str, PerformanceProfile], colours: Mapping[str, str]
) -> Figure:
    """The share of workloads that each method does within a factor of the fastest's time.

    Args:
        profiles: By method.
        colours: By method, in an order that also decides the markers.
    """
    with styled():
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = panels(figure, 1, 1, share_y=False)[0][0]
        handles = []
        for place, (method, colour) in enumerate(colours.items()):
            one = profiles.get(method)
            if one is None:
                continue
            steps = sorted({1.0, LIMIT, *(r for r in one.ratios.values() if r < LIMIT)})
            handles += axes.plot(
                steps,
                [one.share(step) for step in steps],
                color=colour,
                linewidth=1.8,
                drawstyle="steps-post",
                marker=marker(place),
                markersize=5,
                label=f"{one.method} ({one.score:.2f})",
                clip_on=False,
                zorder=3 + place,
            )
        axes.set_xlim(1, LIMIT)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("time over the fastest method's")
        axes.set_ylabel("share of scales and workloads")
        legend_above(figure, handles, columns=4)
    return figure


def _all_colours(found: MethodComparison) -> dict[str, str]:
    """By method, the baseline first: a method looks the same in every figure."""
    methods = [found.baseline, *(one.method for one in found.cells[0].methods)]
    return dict(zip(methods, ordered_colours(len(methods)), strict=True))


def _colours(found: MethodComparison) -> dict[str, str]:
    """Without the baseline's."""
    return {m: colour for m, colour in _all_colours(found).items() if m != found.baseline}


def _measures(found: MethodComparison) -> list[Measure]:
    """Measures in which some speed-up was said."""
    return [
        measure
        for measure in MEASURES
        if any(
            said.estimate is not None
            for cell in found.cells
            for one in cell.methods
            for said in one.speed_ups
            if said.measure == measure
        )
    ]


def _sizes(found: MethodComparison) -> list[float]:
    """Where speed-ups stand along the axis, and the target."""
    said = found.trends.values()
    ahead = [one.target for one in said if one.target is not None and one.forecast is not None]
    return sorted({*(size for one in said for size in one.sizes), *ahead})


def _measure_words(measure: Measure, unit: str) -> str:
    return {"units": unit, "flops": "FLOPs", "seconds": "wall time"}[measure]


def _row_label(cell: CellVerdicts, one: MethodAt) -> str:
    return f"{one.method}, {cell.cell.name}" if cell.cell.name else one.method


def _draw_difference(axes: Axes, place: int, one: MethodAt, colour: str) -> None:
    difference = one.difference
    if difference is None or difference.mean is None or difference.ci90 is None:
        said = "cannot say" if difference is None else f"{one.verdict} (runs diverged)"
        axes.text(0, place, f"  {said}", va="center", fontsize=9, color=FAINT.light)
        return
    low, high = (100 * math.expm1(end) for end in difference.ci90)
    axes.plot([low, high], [place, place], color=colour, linewidth=2, zorder=2)
    sure = one.verdict in ("better", "worse")
    axes.plot(
        [100 * math.expm1(difference.mean)],
        [place],
        marker="o" if one.verdict != "worse" else "s",
        markersize=7,
        color=colour,
        markerfacecolor=colour if sure else PAPER.light,
        markeredgewidth=1.6,
        zorder=3,
    )


def _difference_handles(effect: float) -> list[Artist]:
    def handle(shape: str, label: str, *, full: bool) -> Line2D:
        return Line2D(
            [],
            [],
            marker=shape,
            linestyle="",
            color=INK.light,
            markerfacecolor=INK.light if full else PAPER.light,
            label=label,
        )

    return [
        handle("o", "better", full=True),
        handle("s", "worse", full=True),
        handle("o", "no difference shown", full=False),
        Line2D([], [], color=GRID.light, linewidth=8, label=f"within {effect:.2g} %"),
    ]


def _draw_speed_ups(
    axes: Axes,
    found: MethodComparison,
    cells: Sequence[CellVerdicts],
    method: str,
    measure: Measure,
    trend: Trend,
    dodge: float,
    place: int,
) -> None:
    colour = _colours(found)[method]
    for cell in cells:
        one = next(at for at in cell.methods if at.method == method)
        said = one.speed_up(measure)
        if said is None or said.estimate is None:
            continue
        low, high = said.estimate.ci90
        size = size_of(cell.cell, found.baseline, trend.axis) * math.exp(dodge)
        axes.errorbar(
            [size],
            [said.estimate.value],
            yerr=[[said.estimate.value - low], [high - said.estimate.value]],
            fmt=marker(place),
            color=colour,
            markersize=6,
            elinewidth=1.6,
            capsize=0,
            zorder=4,
        )


def _draw_trend(axes: Axes, trend: Trend, colour: str, dodge: float, place: int) -> None:
    if trend.slope is None:
        return
    _draw_line(axes, trend, (trend.sizes[0], trend.sizes[-1]), colour, "-")
    if trend.target is None or trend.forecast is None:
        return
    _draw_line(axes, trend, (trend.sizes[-1], trend.target), colour, "--")
    low, high = trend.forecast.ci90
    value = trend.forecast.value
    axes.errorbar(
        [trend.target * math.exp(dodge)],
        [value],
        yerr=[[value - low], [high - value]],
        fmt=marker(place),
        color=colour,
        markersize=8,
        markerfacecolor=PAPER.light,
        markeredgewidth=1.6,
        elinewidth=1.6,
        capsize=4,
        zorder=5,
    )


def _draw_line(
    axes: Axes, trend: Trend, ends: tuple[float, float], colour: str, style: str
) -> None:
    # Straight in the logs, which the axes are in.
    heights = [height for size in ends if (height := trend.at(size)) is not None]
    axes.plot(ends, heights, color=colour, linewidth=1.2, linestyle=style, zorder=2)


def _mark_speed_ups(grid: Sequence[Axes], sizes: Sequence[float]) -> None:
    for axes in grid:
        axes.set_xscale("log")
        axes.set_yscale("log")
    low = min(axes.get_ylim()[0] for axes in grid)
    high = max(axes.get_ylim()[1] for axes in grid)
    shown = [tick for tick in _TICKS if low <= tick <= high]
    for axes in grid:
        axes.set_yticks(shown, minor=False)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        axes.set_xticks(sizes)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))


def _method_handles(found: MethodComparison, colours: Mapping[str, str]) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], color=colour, marker=marker(place), label=f"{method}, 90 % range")
        for place, (method, colour) in enumerate(colours.items(), start=1)
    ]
    if any(said.forecast is not None for said in found.trends.values()):
        handles.append(
            Line2D(
                [],
                [],
                color=INK.light,
                marker="o",
                linestyle="--",
                markerfacecolor=PAPER.light,
                label="forecast",
            )
        )
    return handles

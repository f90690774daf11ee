"""The fitted law: ladder runs, the curve of every model size, the forecast and the target."""

from __future__ import annotations

import math

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from windtunnel.report.content import Law, LawCurve, StudyContent
from windtunnel.report.figures.style import (
    FORECAST,
    INK,
    PAPER,
    legend_above,
    marker,
    ordered_colours,
    panels,
    spread,
)
from windtunnel.report.formatting import amount, fixed, interval

_LABEL_GAP = 0.05  # between line labels, as a share of the panel's height


def draw_law(content: StudyContent) -> Figure:
    """Loss against training length, one line a model size, the target's with its 90 % range."""
    figure = Figure(figsize=(9.6, 5.0), layout="constrained")
    axes = panels(figure, 1, 1, share_y=False)[0][0]
    axes.set_xscale("log")
    axes.set_xlabel(f"training length ({content.unit}, log scale)")
    axes.set_ylabel(f"final validation {content.metric}")
    handles: list[Artist] = []
    if content.law is not None:
        _draw_ladder(axes, content.law)
    handles += _draw_forecast(axes, content) + _draw_target(axes, content)
    lengths = [*axes.get_xlim()]
    decades = math.log10(lengths[1] / lengths[0])
    subs = (1.0, 2.0, 5.0) if decades < 3 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda units, _: amount(units)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if handles:
        legend_above(figure, handles, columns=len(handles))
    return figure


def _draw_ladder(axes: Axes, law: Law) -> None:
    sizes = sorted({point.params for point in law.points} | {curve.params for curve in law.curves})
    colours = dict(zip(sizes, ordered_colours(len(sizes)), strict=True))
    for place, size in enumerate(sizes):
        points = [point for point in law.points if point.params == size]
        axes.plot(
            [point.units for point in points],
            [point.loss for point in points],
            marker(place),
            color=colours[size],
            markersize=5.5,
            markeredgewidth=0,
            zorder=4,
        )
    for curve in law.curves:
        axes.plot(curve.units, curve.loss, color=colours[curve.params], linewidth=1.6, zorder=3)
        if curve.params == sizes[-1] and curve.low and curve.high:
            axes.fill_between(
                curve.units,
                curve.low,
                curve.high,
                color=colours[curve.params],
                alpha=0.18,
                linewidth=0,
            )
    _label_lines(axes, law.curves, colours)


def _label_lines(axes: Axes, curves: tuple[LawCurve, ...], colours: dict[float, str]) -> None:
    """Name each curve at its right end, where the eye already is; labels never touch."""
    drawn = [curve for curve in curves if curve.units]
    low, high = axes.get_ylim()
    ends = [curve.loss[-1] for curve in drawn]
    for curve, end, place in zip(drawn, ends, spread(ends, _LABEL_GAP * (high - low)), strict=True):
        width = f"width {curve.width}: " if curve.width is not None else ""
        axes.annotate(
            f"{width}{amount(curve.params)} parameters",
            xy=(curve.units[-1], end),
            xytext=(1.01, place),
            textcoords=axes.get_yaxis_transform(),
            color=colours[curve.params],
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def _draw_forecast(axes: Axes, content: StudyContent) -> list[Artist]:
    forecast = content.forecast
    if forecast is None or forecast.loss is None or forecast.units is None:
        return []
    low, high = forecast.ci90 or (forecast.loss, forecast.loss)
    drawn = axes.errorbar(
        [forecast.units],
        [forecast.loss],
        yerr=[[forecast.loss - low], [high - forecast.loss]],
        fmt="_",
        color=FORECAST.light,
        markersize=22,
        markeredgewidth=3,
        elinewidth=2,
        capsize=6,
        capthick=2,
        zorder=6,
        label=f"forecast {fixed(forecast.loss)} (90 % range {interval(forecast.ci90)})",
    )
    return [drawn]  # type: ignore[list-item]


def _draw_target(axes: Axes, content: StudyContent) -> list[Artist]:
    target = content.target
    if target is None:
        return []
    return axes.plot(
        [target.units],
        [target.loss],
        "*",
        color=INK.light,
        markersize=14,
        markeredgecolor=PAPER.light,
        markeredgewidth=1,
        zorder=7,
        label=f"target run reached {fixed(target.loss)}",
    )  # type: ignore[return-value]

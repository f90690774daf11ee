"""Axes of a law's pictures: what they measure, in words and units, and where they are marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from windtunnel.laws.law import Law
from windtunnel.report.figures.style import INK, PAPER
from windtunnel.report.formatting import quantity

_NAMES = {
    "params": "model size (parameters)",
    "tokens": "training tokens",
    "unique_tokens": "unique training tokens",
    "flops": "training compute (FLOPs)",
    "steps": "training steps",
    "experts": "experts in a routed layer",
    "members": "members of the ensemble",
    "vocabulary_params": "parameters of the vocabulary",
    "loss": "loss",
}
_UNITS = {
    "nats": "nats a token",
    "bits": "bits a token",
    "bits per byte": "bits a byte",
    "share": "share, 0 to 1",
}
_MOST_MARKS = 8

# How the two points that a reader looks for are drawn, with what the legend calls them.
TARGET: tuple[str, Mapping[str, Any]] = (
    "target",
    {"marker": "*", "color": INK.light, "markersize": 13, "markeredgecolor": PAPER.light},
)
PLAN: tuple[str, Mapping[str, Any]] = (
    "plan",
    {
        "marker": "o",
        "color": INK.light,
        "markersize": 9,
        "markerfacecolor": "none",
        "markeredgewidth": 2,
    },
)


def input_label(name: str) -> str:
    """An input as an axis says it."""
    return f"{_NAMES.get(name, name)}, log scale"


def metric_label(law: Law) -> str:
    """The metric as an axis says it, with its unit where the fit knows it."""
    unit = _UNITS.get(str(law.summary.get("unit", "")))
    return law.metric if unit is None else f"{law.metric} ({unit})"


def mark_log_axis(axis: Axis, low: float, high: float) -> None:
    """Mark a log axis at 1, 2 and 5, at every power of ten or at every few, as there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    for shape in ((1, 2, 5), (1, 3), (1,)):
        marks = [m * 10.0**d for d in decades for m in shape if low <= m * 10.0**d <= high]
        if len(marks) <= _MOST_MARKS:
            break
    else:
        step = math.ceil(len(marks) / _MOST_MARKS)
        marks = marks[::step]
    axis.set_major_locator(FixedLocator(marks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    axis.set_minor_locator(NullLocator())


def mark_metric_axis(axis: Axis, low: float, high: float) -> None:
    """Mark an axis of losses at round numbers, the roundest first, log or not.

    Losses seldom span a power of ten, so a log axis marked at powers would have no mark at all.
    """
    place = math.log if axis.get_scale() == "log" else float
    gap = (place(high) - place(low)) / _MOST_MARKS
    marks: list[float] = []
    for step in _steps(high - low):
        for count in range(math.ceil(low / step), math.floor(high / step) + 1):
            mark = float(f"{count * step:.12g}")
            if all(abs(place(mark) - place(other)) >= gap for other in marks):
                marks.append(mark)
    axis.set_major_locator(FixedLocator(sorted(marks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _steps(span: float) -> list[float]:
    """Round steps from the span's own power of ten down to a tenth of it, the coarsest first."""
    power = 10.0 ** math.floor(math.log10(span))
    return [shape * power for shape in (1.0, 0.5, 0.2, 0.1)]

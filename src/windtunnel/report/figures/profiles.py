"""Profile likelihoods: how well the rows tell each parameter of a law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from windtunnel.laws.profile import Profile
from windtunnel.report.figures.style import (
    FAINT,
    FORECAST,
    INK,
    legend_above,
    ordered_colours,
    panels,
    styled,
)
from windtunnel.report.formatting import quantity

_COLUMNS = 3
_CURVE = 200
_MOST_DEVIANCE = 3.0  # times the threshold


def profiles_figure(
    profiles: Sequence[Profile], draws: Mapping[str, tuple[float, float]]
) -> Figure:
    """A panel a parameter: the profile, its 90 % range, and the range of the refits below it.

    Args:
        profiles: From `profile_parameters`.
        draws: 90 % range of each parameter over the law's draws.
    """
    columns = min(_COLUMNS, len(profiles))
    rows = -(-len(profiles) // columns)
    with styled():
        figure = Figure(figsize=(8.8, 0.6 + 2.5 * rows), layout="constrained")
        grid = [axes for row in panels(figure, rows, columns, share_y=True) for axes in row]
        for axes, profile in zip(grid, profiles, strict=False):
            _draw(axes, profile, draws[profile.name])
        for axes in grid[len(profiles) :]:
            axes.set_visible(False)
        for axes in grid[::columns]:
            axes.set_ylabel("twice the log\nlikelihood lost")
        legend_above(figure, _handles(), columns=4)
    return figure


def _draw(axes: Axes, profile: Profile, draws: tuple[float, float]) -> None:
    top = _MOST_DEVIANCE * profile.threshold
    line = ordered_colours(8)[-1]
    axes.plot(*_smooth(profile), color=line, linewidth=1.8, zorder=3)
    axes.axhline(profile.threshold, color=FAINT.light, linewidth=1, linestyle="--", zorder=2)
    axes.axvline(profile.best, color=INK.light, linewidth=1, linestyle=":", zorder=2)
    for end in profile.ci90:
        if end is not None:
            axes.plot([end], [profile.threshold], "o", color=line, markersize=6, zorder=4)
    axes.plot(draws, [-0.06 * top] * 2, color=FORECAST.light, linewidth=4, zorder=3)
    axes.set_ylim(-0.12 * top, top)
    shown = profile.values[profile.deviance <= top]
    ends = (min(shown.min(), draws[0]), max(shown.max(), draws[1]))
    room = 0.04 * (ends[1] - ends[0])
    axes.set_xlim(ends[0] - room, ends[1] + room)
    axes.set_title(profile.name)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, 5)))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, prune="lower"))


def _smooth(profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A curve through the points: the signed root of the deviance is nearly a line."""
    root = np.sign(profile.values - profile.best) * np.sqrt(profile.deviance)
    grid = np.linspace(profile.values[0], profile.values[-1], _CURVE)
    return grid, PchipInterpolator(profile.values, root)(grid) ** 2


def _handles() -> list[Artist]:
    line = ordered_colours(8)[-1]
    return [
        Line2D([], [], color=line, linewidth=1.8, label="profile"),
        Line2D([], [], color=line, marker="o", linestyle="", label="its 90 % range"),
        Line2D([], [], color=FORECAST.light, linewidth=4, label="90 % range of the refits"),
        Line2D([], [], color=INK.light, linewidth=1, linestyle=":", label="fitted"),
    ]

"""Schedules as curves: the multiplier of the peak rate over a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from windtunnel.report.figures.style import ordered_colours, panels, styled

_STROKES = ("-", "--", "-.", ":")


def schedule_figure(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """One panel a group of schedules, side by side.

    Args:
        groups: A panel's title, and in it each curve's name and its multipliers, one a step; curves
            of different lengths are all drawn over the whole width.
    """
    with styled():
        figure = Figure(figsize=(4.8 * len(groups), 3.6), layout="constrained")
        for axes, (title, curves) in zip(
            panels(figure, 1, len(groups), share_y=True)[0], groups.items(), strict=True
        ):
            colours = ordered_colours(len(curves))
            for place, (name, multipliers) in enumerate(curves.items()):
                through = [step / len(multipliers) for step in range(len(multipliers))]
                stroke = _STROKES[place % len(_STROKES)]
                axes.plot(through, multipliers, stroke, color=colours[place], label=name)
            axes.set_title(title)
            axes.set_xlabel("share of the run")
            axes.set_ylabel("multiplier of the peak rate")
            axes.set_ylim(0, 1.05)
            axes.legend(fontsize=8)
    return figure

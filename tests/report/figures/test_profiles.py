from __future__ import annotations

import pytest

from windtunnel.laws.profile import profile_parameters
from windtunnel.report.figures.profiles import profiles_figure


def test_a_panel_a_parameter_with_both_ranges(fitted):
    profiles = profile_parameters(fitted)
    ranges = {name: tuple(ends) for name, ends in fitted.summary["ci90"].items()}
    figure = profiles_figure(profiles, ranges)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["E", "A", "B", "alpha", "beta"]
    for axes, profile in zip(shown, profiles, strict=True):
        dots = [x.get_xdata()[0] for x in axes.lines if x.get_marker() == "o"]
        assert dots == pytest.approx([end for end in profile.ci90 if end is not None])
        bar = max(axes.lines, key=lambda line: line.get_linewidth())
        assert list(bar.get_xdata()) == pytest.approx(ranges[profile.name])
        low, high = axes.get_xlim()
        assert low <= bar.get_xdata()[0] and bar.get_xdata()[1] <= high

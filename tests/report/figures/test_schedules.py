from __future__ import annotations

import pytest

from windtunnel.report.figures.schedules import schedule_figure


def test_each_curve_is_drawn_over_the_whole_width_under_its_name() -> None:
    figure = schedule_figure(
        {"down": {"line": [1, 0.75, 0.5, 0.25], "drop": [1, 0.5]}, "up": {"a": [1]}}
    )
    left, right = figure.axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("down", "up")
    line, drop = left.lines
    assert (line.get_label(), drop.get_label()) == ("line", "drop")
    assert list(line.get_xdata()) == pytest.approx([0, 0.25, 0.5, 0.75])
    assert list(drop.get_ydata()) == [1, 0.5]
    assert line.get_linestyle() != drop.get_linestyle()
    assert line.get_color() != drop.get_color()

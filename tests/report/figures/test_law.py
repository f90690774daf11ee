from __future__ import annotations

import pytest

from windtunnel.report.content import StudyContent
from windtunnel.report.figures.law import draw_law


def test_every_ladder_run_is_a_dot_and_every_size_a_line(sample):
    axes = draw_law(sample).axes[0]
    dots = [x for x in axes.lines if x.get_linestyle() == "None" and x.get_marker() in "os^"]
    drawn = sorted(pair for x in dots for pair in zip(*x.get_data(), strict=True))
    assert drawn == sorted((p.units, p.loss) for p in sample.law.points)
    curves = [x for x in axes.lines if len(x.get_xdata()) == 19]
    assert [tuple(x.get_ydata()) for x in curves] == [c.loss for c in sample.law.curves]


def test_forecast_and_target_stand_at_the_targets_length(sample):
    figure = draw_law(sample)
    axes = figure.axes[0]
    forecast = axes.containers[0]
    ((low, high),) = [segment[:, 1] for segment in forecast[2][0].get_segments()]
    assert (low, high) == pytest.approx((1.57, 1.68))
    star = next(x for x in axes.lines if x.get_marker() == "*")
    assert star.get_xydata().tolist() == [[2_500_000, 1.64]]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["forecast 1.620 (90 % range 1.570 to 1.680)", "target run reached 1.640"]


def test_only_the_largest_size_has_a_band(sample):
    axes = draw_law(sample).axes[0]
    bands = [c for c in axes.collections if type(c).__name__ == "FillBetweenPolyCollection"]
    bands = bands or [c for c in axes.collections if type(c).__name__ == "PolyCollection"]
    (band,) = bands
    heights = band.get_paths()[0].vertices[:, 1]
    target = sample.law.curves[-1]
    assert heights.min() == pytest.approx(min(target.low))
    assert heights.max() == pytest.approx(max(target.high))


def test_line_labels_do_not_touch(sample_value):
    for curve in sample_value["law"]["curves"]:
        curve["loss"] = [2.0 + 1e-4 * k for k in range(19)]
    figure = draw_law(StudyContent.from_json(sample_value))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[k + 1 :])


def test_a_refused_forecast_leaves_the_ladder_standing(sample_value):
    sample_value["forecast"] = {"loss": None, "ci90": None, "verdict": "cannot say"}
    sample_value["target"] = None
    figure = draw_law(StudyContent.from_json(sample_value))
    assert not figure.legends and figure.axes[0].lines

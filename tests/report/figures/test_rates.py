from __future__ import annotations

import math

import pytest

from windtunnel.report.content import StudyContent
from windtunnel.report.figures.rates import draw_rates
from windtunnel.report.figures.style import styled


def lines(axes, style: str, marker: str = "None"):
    return [x for x in axes.lines if x.get_linestyle() == style and x.get_marker() == marker]


def test_the_chosen_rule_stands_left_of_standard_at_the_length_they_share(sample):
    with styled():
        titles = [axes.get_title(loc="left") for axes in draw_rates(sample).axes]
    assert titles == [
        "mup, 600k tokens, depth 2",
        "sp, 600k tokens, depth 2",
        "mup, 150k tokens, depth 2",
    ]


def test_every_seed_is_a_dot_and_the_line_is_their_mean(sample):
    axes = draw_rates(sample).axes[0]
    sweep = next(s for s in sample.sweeps if (s.rule, s.width, s.units) == ("mup", 24, 600_000))
    finished = [(p.lr, p.loss) for p in sweep.points if p.loss is not None]
    dots = next(x for x in axes.lines if x.get_linestyle() == "None" and x.get_marker() == "o")
    assert list(zip(*dots.get_data(), strict=True)) == finished
    mean = next(x for x in lines(axes, "-") if len(x.get_xdata()) > 2)
    for rate, loss in zip(*mean.get_data(), strict=True):
        seeds = [value for at, value in finished if at == rate]
        assert loss == pytest.approx(sum(seeds) / 2)


def test_the_optimum_is_ringed_on_the_curve_and_its_range_drawn_below(sample):
    axes = draw_rates(sample).axes[0]
    rings = [x for x in axes.lines if x.get_markerfacecolor() == "none" and len(x.get_xdata()) == 1]
    assert [math.log2(x.get_xdata()[0]) for x in rings] == pytest.approx([-6.5, -6.6, -6.7])
    ranges = [x for x in lines(axes, "-") if len(x.get_xdata()) == 2]
    ends = [tuple(map(math.log2, x.get_xdata())) for x in ranges]
    assert ends[0] == pytest.approx((-6.8, -6.15))


def test_ranges_lie_below_every_dot(sample):
    for axes in draw_rates(sample).axes:
        low, high = axes.get_ylim()
        dots = min(min(x.get_ydata()) for x in axes.lines if x.get_transform() == axes.transData)
        bars = [x for x in lines(axes, "-") if len(x.get_xdata()) == 2]
        assert max(x.get_ydata()[0] for x in bars) < (dots - low) / (high - low)


def test_a_diverged_run_is_a_cross_at_the_top(sample):
    axes = draw_rates(sample).axes[0]
    crosses = [x for x in axes.lines if x.get_marker() == "x" and len(x.get_xdata())]
    assert {tuple(x.get_xdata()) for x in crosses} == {(2.0**-3,)}
    assert all(0.8 < y < 1 for x in crosses for y in x.get_ydata())


def test_a_run_that_blew_up_does_not_flatten_the_picture(sample_value):
    sample_value["sweeps"][0]["points"][9]["loss"] = 4e5
    axes = draw_rates(StudyContent.from_json(sample_value)).axes[0]
    assert axes.get_ylim()[1] < 10
    crosses = [x for x in axes.lines if x.get_marker() == "x"]
    assert sample_value["sweeps"][0]["points"][9]["lr"] in crosses[0].get_xdata()


def test_sweeps_that_all_diverged_still_draw(sample_value):
    for sweep in sample_value["sweeps"]:
        sweep["optimum"] = None
        for point in sweep["points"]:
            point["loss"] = None
    assert len(draw_rates(StudyContent.from_json(sample_value)).axes) == 3


def test_axes_are_named_with_their_units(sample):
    axes = draw_rates(sample).axes[0]
    assert axes.get_xlabel() == "learning rate (log scale)"
    assert axes.get_ylabel() == "final validation loss"

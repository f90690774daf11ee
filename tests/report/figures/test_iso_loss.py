from __future__ import annotations

import numpy as np
import pytest

from windtunnel.report.figures.iso_loss import iso_loss_figure, round_levels

TARGET = {"params": 7e9, "tokens": 2e11}


def test_along_a_curve_the_law_says_the_same(fitted):
    figure = iso_loss_figure(fitted, TARGET, {"params": 5e9, "tokens": 3e11})
    axes = figure.axes[0]
    named = [float(text.get_text()) for text in axes.get_legend().get_texts()]
    curves = [x for x in axes.lines if len(x.get_xdata()) == 120]
    assert len(curves) == len(named) >= 4
    for level, curve in zip(named, curves, strict=True):
        params, tokens = curve.get_xydata().T
        here = np.isfinite(tokens)
        said = fitted({"params": params[here], "tokens": tokens[here]})
        assert said == pytest.approx(np.full(here.sum(), level), rel=1e-4)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["a run", "compute-optimal, 90 % range", "target", "plan"]


def test_the_best_split_touches_each_curve_where_it_is_cheapest(fitted):
    axes = iso_loss_figure(fitted, TARGET).axes[0]
    curves = [x for x in axes.lines if len(x.get_xdata()) == 120]
    (optimum,) = [x for x in axes.lines if len(x.get_xdata()) == 9]
    for curve in curves:
        params, tokens = curve.get_xydata().T
        cost = np.where(np.isfinite(tokens), params * tokens, np.inf)
        cheapest = params[cost.argmin()]
        on_line = np.exp(
            np.interp(
                np.log(cost.min()),
                np.log(np.prod(optimum.get_xydata(), axis=1)),
                np.log(optimum.get_xdata()),
            )
        )
        assert on_line == pytest.approx(cheapest, rel=0.15)


def test_levels_are_round_ordered_and_can_be_reached():
    levels = round_levels(1.93, 3.4)
    assert levels == sorted(levels) and len(levels) == 6
    assert levels[0] > 1.93 and levels[-1] == pytest.approx(3.4, abs=0.05)
    assert all(len(f"{level:g}") <= 4 for level in levels)

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.report.figures.save import save_figure
from windtunnel.report.figures.searches import search_figure
from windtunnel.search.space import Space, parse_space
from windtunnel.search.tune import tune

SPACE = {
    "lr": {"low": 1e-4, "high": 1, "log": True},
    "kind": ["a", "b"],
    "extra": {"low": 0, "high": 1, "when": {"kind": "b"}},
}


def objective(lr, kind, extra=0.5, *, fidelity, seed):
    if lr > 0.9:
        return math.inf
    return 1 + math.log10(lr / 0.01) ** 2 + 0.3 * (kind == "a") + 1 / fidelity


@pytest.fixture(scope="module")
def searched():
    found = tune(objective, SPACE, "hyperband", least=1, most=9, passes=4)
    return found.trials, parse_space(SPACE)


def panel(figure, title):
    (axes,) = [axes for axes in figure.axes if axes.get_title("left").startswith(title)]
    return axes


def test_the_line_is_the_best_long_trial_so_far(searched):
    rows, space = searched
    axes = panel(search_figure(rows, space), "The best loss so far")
    line = max(axes.lines, key=lambda one: one.get_linewidth()).get_xydata()
    paid, best, expected = 0.0, math.inf, []
    for row in rows:
        before = 0 if row.run.continues is None else rows[row.run.continues].run.fidelity
        paid += row.run.fidelity - before
        if row.run.fidelity == 9 and row.loss is not None:
            best = min(best, row.loss)
        if math.isfinite(best):
            expected.append((paid, best))
    assert line[-1] == pytest.approx(expected[-1])
    assert set(np.round(line[:, 1], 9)) == {round(y, 9) for _, y in expected}


def test_spending_adds_up_and_counts_trials(searched):
    rows, space = searched
    axes = panel(search_figure(rows, space), "What was spent where")
    widths = {
        label.get_text(): patch.get_width()
        for label, patch in zip(axes.get_yticklabels(), axes.patches, strict=True)
    }
    assert set(widths) == {"1", "3", "9"}
    ones = sum(row.run.fidelity == 1 for row in rows)
    assert widths["1"] == ones
    counts = [text.get_text().strip() for text in axes.texts]
    assert str(ones) in counts and sum(map(int, counts)) == len(rows)


def test_the_best_tenth_stands_out_and_choices_are_named(searched):
    rows, space = searched
    axes = panel(search_figure(rows, space), "Where the best")
    long = [row for row in rows if row.run.fidelity == 9 and row.loss is not None]
    assert len(axes.lines) == len(long)
    assert sum(line.get_linewidth() > 1 for line in axes.lines) == round(0.1 * len(long))
    assert {" a", " b", " 0.0001", " 1"} <= {text.get_text() for text in axes.texts}


def test_scales_are_compared_each_with_its_own_best(tmp_path: Path):
    def loss(lr, *, width, seed):
        return 10 / width + math.log10(lr / 0.01) ** 2

    space = {"lr": SPACE["lr"]}
    found = tune(
        loss, space, "ladder", scales=[{"width": 8}, {"width": 16}], target={"width": 64}, runs=30
    )
    costs = [float(row.run.values["width"]) for row in found.trials]
    figure = search_figure(
        found.trials, parse_space(space), cost=costs, unit="FLOPs", scale_axes=("width",)
    )
    axes = panel(figure, "Each trial against the best of its scale")
    heights = axes.lines[0].get_ydata()
    assert min(heights) == 1.0
    assert axes.get_xlabel() == "spent (FLOPs)"
    where = panel(figure, "What was spent where")
    assert sum(patch.get_width() for patch in where.patches) == pytest.approx(sum(costs))
    save_figure(figure, tmp_path / "search.svg")
    assert (tmp_path / "search.svg").read_text().startswith("<?xml")


def test_few_trials_and_none(searched):
    rows, space = searched
    figure = search_figure(rows[:10], space, cost=[1.0] * 10)
    assert "too few trials to say" in [t.get_text() for axes in figure.axes for t in axes.texts]
    with pytest.raises(WindtunnelError, match="no trial has a loss yet"):
        search_figure([], Space(space.parameters))

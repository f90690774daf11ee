from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.forecasting import forecast_law
from windtunnel.report.figures.frontier import draw_frontier, frontier_figure

TARGET = {"params": 7e9, "tokens": 2e11}


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def bands(axes) -> list[np.ndarray]:
    return [c.get_paths()[0].vertices for c in axes.collections if "Poly" in type(c).__name__]


def test_every_row_is_a_mark_at_its_compute(fitted):
    axes = frontier_figure(fitted).axes[0]
    marks = [x for x in axes.lines if x.get_linestyle() == "None"]
    drawn = sorted(tuple(pair) for x in marks for pair in x.get_xydata())
    compute = 6 * fitted.inputs["params"] * fitted.inputs["tokens"]
    assert drawn == sorted(zip(compute, fitted.observed, strict=True))
    assert len({x.get_color() for x in marks}) == 6  # a colour a size


def test_the_target_stands_at_its_compute_with_its_range(fitted):
    figure = frontier_figure(fitted, TARGET)
    axes = figure.axes[0]
    said = forecast_law(fitted, TARGET)
    (bar,) = [c for c in axes.containers if c.has_yerr]
    ((low, high),) = [segment[:, 1] for segment in bar[2][0].get_segments()]
    assert (low, high) == pytest.approx(said.ci90)
    assert bar[0].get_xydata()[0] == pytest.approx([6 * 7e9 * 2e11, said.value])
    assert any(words.startswith(f"target: {said.value:.4g}") for words in legend(figure))
    assert axes.get_xlim()[1] > 6 * 7e9 * 2e11


def test_no_size_lies_below_the_frontier(fitted):
    axes = frontier_figure(fitted, TARGET).axes[0]
    lines = [x for x in axes.lines if len(x.get_xdata()) == 60]
    thick = max(lines, key=lambda x: x.get_linewidth())
    for line in lines:
        inside = (line.get_xdata() > thick.get_xdata()[0]) & (
            line.get_xdata() < thick.get_xdata()[-1]
        )
        best = np.exp(
            np.interp(
                np.log(line.get_xdata()[inside]),
                np.log(thick.get_xdata()),
                np.log(thick.get_ydata()),
            )
        )
        assert (line.get_ydata()[inside] > best * (1 - 1e-3)).all()
    (band,) = bands(axes)
    assert band[:, 1].min() < thick.get_ydata().min() < band[:, 1].max()


def test_a_refused_target_is_no_star(fitted):
    figure = frontier_figure(fitted, {"params": 1e16, "tokens": 1e18})
    assert any("cannot say" in words for words in legend(figure))
    assert not any(x.get_marker() == "*" for x in figure.axes[0].lines)


def test_marks_on_both_axes_are_few_and_in_words(fitted):
    figure = frontier_figure(fitted, TARGET)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for axis in (axes.xaxis, axes.yaxis):
        labels = [label.get_text() for label in axis.get_ticklabels() if label.get_text()]
        assert 3 <= len(labels) <= 9
        assert not any("e+" in label for label in labels)
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_a_law_in_one_input_is_drawn_against_it(runs_table):
    one_size = runs_table.keep(runs_table.numbers["tokens"] > 0)
    law = fit_law(one_size, form="power-params", draws=20)
    figure = frontier_figure(law, {"params": 7e9})
    axes = figure.axes[0]
    assert axes.get_xlabel() == "model size (parameters), log scale"
    assert axes.get_xlim()[1] > 7e9 and len(bands(axes)) == 1


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_files_are_the_same_each_time(fitted, tmp_path, ending):
    for name in ("a", "b"):
        draw_frontier(fitted, tmp_path / name / f"law.{ending}")
    assert (tmp_path / f"a/law.{ending}").read_bytes() == (
        tmp_path / f"b/law.{ending}"
    ).read_bytes()


def test_another_ending_is_refused_in_one_line(fitted, tmp_path):
    with pytest.raises(WindtunnelError, match=r"law.bmp: .* .svg, .png or .pdf"):
        draw_frontier(fitted, tmp_path / "law.bmp")

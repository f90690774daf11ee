from __future__ import annotations

import numpy as np
import pytest

from windtunnel.report.figures.residuals import residuals_figure


def drawn(axes, marker) -> np.ndarray:
    lines = [x for x in axes.lines if x.get_marker() == marker]
    return np.concatenate([x.get_xydata() for x in lines])


@pytest.fixture
def masks(runs_table):
    used = np.isfinite(runs_table.loss)
    used[3] = False
    outliers = np.zeros(len(runs_table), dtype=bool)
    outliers[5] = True
    return used, outliers


def test_each_row_lies_as_far_off_as_it_is(fitted, runs_table, masks):
    axes = residuals_figure(fitted, runs_table, *masks).axes
    assert [a.get_xlabel() for a in axes] == [
        "model size (parameters), log scale",
        "training tokens, log scale",
    ]
    inputs = {name: runs_table.numbers[name] for name in fitted.inputs}
    off = 100 * (runs_table.loss / fitted(inputs) - 1)
    used, outliers = masks
    plain = drawn(axes[0], "o")
    assert sorted(plain[:, 1]) == pytest.approx(sorted(off[used & ~outliers]))
    assert drawn(axes[1], "D")[0] == pytest.approx([inputs["tokens"][5], off[5]])
    assert drawn(axes[0], "x")[0] == pytest.approx([inputs["params"][3], off[3]])


def test_the_legend_counts_and_a_row_without_a_loss_is_not_drawn(fitted, runs_table, masks):
    figure = residuals_figure(fitted, runs_table, *masks)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["used (22)", "used, an outlier (1)", "left out (1)"]


def test_rows_far_off_stand_at_the_edge_and_are_named(fitted, runs_table):
    loss = runs_table.loss.copy()
    loss[3] *= 10
    table = type(runs_table)(
        "t", runs_table.lines, {**runs_table.numbers, "loss": loss}, {}, runs_table.metric
    )
    used = np.isfinite(loss)
    used[3] = False
    figure = residuals_figure(fitted, table, used, np.zeros_like(used))
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "left out, farther off than shown (1)" in words
    assert figure.axes[0].get_ylim()[1] < 20

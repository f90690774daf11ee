from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from windtunnel.comparing.compare_methods import compare_methods
from windtunnel.comparing.finished import FinishedRun, MethodRuns
from windtunnel.errors import WindtunnelError
from windtunnel.laws.table import Metric
from windtunnel.report.figures.comparison import (
    comparison_figures,
    differences_figure,
    speed_up_figure,
)
from windtunnel.report.figures.save import save_figure

FACTORS = {"adamw": 1.0, "muon": 1.4, "a copy": 1.0}
WIDTHS = (64.0, 128.0, 256.0)
LENGTHS = (1e6, 2e6, 4e6)


def runs(lengths=LENGTHS, seeds=6, widths=WIDTHS, noise=0.003):
    draw = np.random.default_rng(0)
    found = []
    for method, factor in FACTORS.items():
        for width in widths:
            for units in lengths:
                for seed in range(seeds):
                    loss = 1.5 + 20 / width + 60 / (units * factor) ** 0.3
                    flops = 72 * width**2 * units
                    found.append(
                        FinishedRun(
                            len(found) + 2,
                            method,
                            {"width": width},
                            units,
                            str(seed),
                            loss * math.exp(noise * draw.normal()),
                            flops,
                            flops * 1e-9,
                            12 * width**2,
                        )
                    )
    return MethodRuns("made up", tuple(found), "tokens", Metric("loss", "loss", "nats"))


@pytest.fixture(scope="module")
def compared():
    return compare_methods(runs(), "adamw", along="width", target=512)


def test_a_row_for_each_method_and_scale_with_its_range(compared):
    axes = differences_figure(compared).axes[0]
    cells = [(cell, one) for cell in compared.cells for one in cell.methods]
    assert len(axes.get_yticklabels()) == len(cells) == 6
    drawn = {
        tuple(round(float(end), 9) for end in line.get_xdata())
        for line in axes.lines
        if len(set(line.get_ydata())) == 1
        and len(line.get_xdata()) == 2
        and set(line.get_xdata()) != {0}
    }
    said = {
        tuple(round(100 * math.expm1(end), 9) for end in one.difference.ci90) for _, one in cells
    }
    assert drawn == said


def test_full_markers_are_verdicts_and_open_ones_none(compared):
    axes = differences_figure(compared).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    points = {
        round(line.get_ydata()[0]): line
        for line in axes.lines
        if len(line.get_ydata()) == 1 and line.get_marker() in "osD^vP"
    }
    verdicts = [
        one.verdict
        for method in ("muon", "a copy")
        for cell in compared.cells
        for one in cell.methods
        if one.method == method
    ]
    assert {"better", "no difference shown"} == set(verdicts)
    for place, verdict in enumerate(verdicts):
        line = points[place]
        filled = to_hex(line.get_markerfacecolor()) == to_hex(line.get_color())
        assert filled == (verdict == "better"), names[place]


def test_the_speed_ups_are_drawn_where_they_were_found_and_the_forecast_at_the_target(compared):
    figure = speed_up_figure(compared)
    assert [axes.get_title("left") or axes.get_title() for axes in figure.axes] == [
        "tokens",
        "FLOPs",
        "wall time",
    ]
    axes = figure.axes[0]
    heights = {round(float(line.get_ydata()[0]), 9) for line in axes.lines if len(line.get_ydata())}
    for cell in compared.cells:
        for one in cell.methods:
            assert round(one.speed_up("units").estimate.value, 9) in heights
    for said in compared.trends.values():
        (ahead,) = [
            line
            for line in axes.lines
            if list(line.get_ydata()) == [said.forecast.value] and line.get_marker() in "osD^vP"
        ]
        assert ahead.get_xdata()[0] == pytest.approx(512, rel=0.1)
    assert [round(tick) for tick in axes.get_xticks()] == [64, 128, 256, 512]


def test_a_method_has_one_colour_in_all_figures(compared):
    figures = comparison_figures(compared)

    def colours(name):
        labels = {
            text.get_text().split(",")[0].split(" (")[0]: to_hex(handle.get_color())
            for legend in figures[name].legends
            for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
        }
        return {method: labels[method] for method in ("muon", "a copy")}

    assert colours("speed-up") == colours("performance-profile")
    assert len(set(colours("speed-up").values())) == 2


def test_one_length_has_no_speed_up_figure(compared):
    found = compare_methods(runs(lengths=(4e6,), widths=(64.0,)), "adamw")
    assert set(comparison_figures(found)) == {"differences"}
    with pytest.raises(WindtunnelError, match="no speed-up could be said"):
        speed_up_figure(found)


def test_nothing_to_compare_has_no_figure():
    found = compare_methods(runs(seeds=3), "adamw")
    assert comparison_figures(found) == {}
    with pytest.raises(WindtunnelError, match="no method could be compared"):
        differences_figure(found)


def test_labels_lie_inside_and_apart(compared, tmp_path):
    figures = comparison_figures(compared)
    assert set(figures) == {"differences", "speed-up", "performance-profile"}
    for name, figure in figures.items():
        figure.draw_without_rendering()
        for axes in figure.axes:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                boxes = [one.get_window_extent() for one in labels if one.get_text()]
                boxes = [box for box in boxes if figure.bbox.contains(box.x0, box.y0)]
                assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b), name
        save_figure(figure, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.report.content import StudyContent
from windtunnel.report.figures.coordinates import draw_coordinates
from windtunnel.report.figures.style import styled


def slopes(axes) -> list[float]:
    return [
        float(np.polyfit(np.log(x.get_xdata()), np.log(x.get_ydata()), 1)[0]) for x in axes.lines
    ]


def test_chosen_left_standard_right_activations_above_updates(sample):
    with styled():
        axes = draw_coordinates(sample).axes
    assert [a.get_title(loc="left") for a in axes[:2]] == [
        "mup: pass, largest slope 0.02",
        "sp: fail, largest slope 0.92",
    ]
    assert [axes[0].get_ylabel(), axes[2].get_ylabel()] == [
        "activation, RMS",
        "change since init, RMS",
    ]


def test_lines_are_the_last_step_only_one_a_module(sample):
    for axes, growth in zip(draw_coordinates(sample).axes, (0.0, 0.9, 0.0, 0.9), strict=True):
        expected = [growth * (0.6 + 0.1 * place) + 0.02 for place in range(5)]
        assert slopes(axes) == pytest.approx(expected, abs=1e-9)


def test_modules_are_named_in_the_legend(sample):
    names = [text.get_text() for text in draw_coordinates(sample).legends[0].get_texts()]
    assert names == [
        "embedding",
        "blocks.*.attention.output",
        "blocks.*.mlp.down",
        "final_norm",
        "head",
    ]


def test_blocks_share_one_look_and_one_entry_in_the_legend(sample_value):
    curves = sample_value["check"]["mup"]["curves"]
    more = [
        {**point, "module": point["module"].replace("blocks.0", "blocks.11")}
        for point in curves
        if point["module"].startswith("blocks.0")
    ]
    curves += more
    figure = draw_coordinates(StudyContent.from_json(sample_value))
    assert len(figure.legends[0].get_texts()) == 5
    assert len(figure.axes[0].lines) == 7
    looks = [(line.get_color(), line.get_marker()) for line in figure.axes[0].lines]
    assert len(set(looks)) == 5 and looks[1] == looks[5]


def test_points_without_a_logarithm_are_left_out(sample_value):
    curves = sample_value["check"]["mup"]["curves"]
    last = [point for point in curves if point["step"] == 5]
    last[0]["rms"], last[1]["rms"] = None, 0.0
    drawn = draw_coordinates(StudyContent.from_json(sample_value)).axes[0]
    assert len(drawn.lines[0].get_xdata()) == 2


def test_depth_is_not_mixed_into_width(sample_value):
    for point in list(sample_value["check"]["mup"]["curves"]):
        sample_value["check"]["mup"]["curves"].append({**point, "axis": "depth", "size": 7})
    drawn = draw_coordinates(StudyContent.from_json(sample_value)).axes[0]
    assert 7 not in drawn.lines[0].get_xdata()

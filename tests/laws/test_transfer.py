from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.optimum import Optimum, Trial, fit_optima
from windtunnel.laws.transfer import drift, judge_axis, loss_paid_percent, losses_paid

WIDTHS = [24, 48, 96]


def optimum(at: float, se: float = 0.1, bend: float = 0.08, dof: float = 30.0) -> Optimum:
    return Optimum(
        log2_value=at,
        se=se,
        ci90=(at - 2 * se, at + 2 * se) if math.isfinite(se) else (None, None),
        loss=2.0,
        loss_se=0.01,
        curvature=bend,
        curvature_se=0.1 * bend,
        edge=None,
        points=5,
        noise=0.005,
        dof=dof,
    )


def judge(optima: list[Optimum], target: float = 192, values: list[int] | None = None):
    values = WIDTHS if values is None else values
    return judge_axis("width", values, optima, losses_paid(values, optima, values[0]), target)


def test_the_slope_is_weighted_least_squares() -> None:
    optima = [optimum(-6.0, 0.1), optimum(-6.5, 0.3), optimum(-6.9, 0.2)]
    line = drift(WIDTHS, optima)
    assert line is not None
    x = np.log2(WIDTHS)
    y, weights = [-6.0, -6.5, -6.9], [1 / 0.1, 1 / 0.3, 1 / 0.2]
    slope, _ = np.polyfit(x, y, 1, w=weights)
    assert line.slope == pytest.approx(slope)


def test_scatter_beyond_the_errors_widens_the_range() -> None:
    calm = drift(WIDTHS, [optimum(-6.0), optimum(-6.0), optimum(-6.0)])
    wild = drift(WIDTHS, [optimum(-6.0), optimum(-7.0), optimum(-6.0)])
    assert calm is not None and wild is not None
    assert wild.se > 3 * calm.se


def test_lines_share_a_slope_and_keep_their_levels() -> None:
    short = [optimum(at) for at in (-5.0, -5.2, -5.4)]
    long = [optimum(at) for at in (-7.0, -7.2, -7.4)]
    both = drift(WIDTHS * 2, short + long, ["short"] * 3 + ["long"] * 3)
    one = drift(WIDTHS, short)
    assert both is not None and one is not None
    assert both.slope == pytest.approx(-0.2) == pytest.approx(one.slope)
    assert both.se == pytest.approx(one.se / math.sqrt(2))
    alone = drift([24, 48, 96], [optimum(-5.0), optimum(-6.0), optimum(-6.5)], ["a", "b", "b"])
    assert alone is not None and alone.slope == pytest.approx(-0.5)
    assert drift([24, 48], [optimum(-5.0), optimum(-6.0)], ["a", "b"]) is None


def test_verdicts() -> None:
    still = judge([optimum(-6.0), optimum(-6.05), optimum(-6.1)])
    assert still.verdict == "transfers" and still.next_run is None
    assert still.target_ratio == 2 and still.varied == (24, 96)
    moving = judge([optimum(-6.0), optimum(-7.0), optimum(-8.0)])
    assert moving.verdict == "drifts"
    unsure = judge([optimum(-6.0, 0.6), optimum(-6.2, 0.6), optimum(-6.4, 0.6)])
    assert unsure.verdict == "cannot say"
    assert unsure.next_run is not None and "width" in unsure.next_run


def test_a_small_slope_that_costs_too_much_drifts() -> None:
    dear = judge([optimum(-6.0, 0.05, 0.5), optimum(-6.3, 0.05, 0.5), optimum(-6.6, 0.05, 0.5)])
    assert dear.slope_ci90 is not None and dear.slope_ci90[0] > -0.4
    assert dear.verdict == "drifts"
    assert dear.loss_paid_percent is not None and dear.loss_paid_percent > 0.5


def test_an_axis_that_the_ladder_did_not_vary() -> None:
    assert judge([optimum(-6.0)], values=[48]).verdict == "cannot say"
    assert judge([optimum(-6.0)], values=[48], target=48).verdict == "transfers"
    assert judge_axis("depth", [], [], [], 4).verdict == "cannot say"


def test_an_optimum_at_the_edge_is_never_a_transfer() -> None:
    edge = dataclasses.replace(optimum(-6.0, math.inf), edge="high")
    verdict = judge([optimum(-6.0), optimum(-6.0), edge])
    assert verdict.verdict == "cannot say"
    assert verdict.next_run is not None and "above" in verdict.next_run and "96" in verdict.next_run
    alone = judge([edge, edge, optimum(-6.0)])
    assert alone.verdict == "cannot say" and alone.slope is None
    json.dumps(alone.to_json(), allow_nan=False)


def test_loss_paid_is_the_curve_above_its_vertex() -> None:
    paid = loss_paid_percent(optimum(-7.0, 1e-6), optimum(-6.0, 1e-6))
    assert paid.percent == pytest.approx(100 * 0.5 * 0.08)
    assert paid.se == pytest.approx(0.1 * paid.percent, rel=1e-3)


def test_noise_in_two_equal_optima_costs_nothing_on_average() -> None:
    generator = np.random.default_rng(0)
    paid = [
        loss_paid_percent(optimum(generator.normal(0, 0.2), 0.2), optimum(0.0, 1e-9)).percent
        for _ in range(400)
    ]
    assert np.median(paid) == 0
    assert np.mean(paid) < 50 * 0.08 * 0.2**2


@pytest.mark.parametrize(("slope", "word"), [(0.0, "transfers"), (-1.0, "drifts")])
def test_whole_studies_on_noisy_sweeps(slope: float, word: str) -> None:
    said = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        cells = {}
        for octave, width in enumerate(WIDTHS):
            at = -6.5 + slope * octave
            x = np.arange(-3, 3.1, 0.5) + at
            z = x - at
            y = 0.06 * (np.exp(0.4 * z) - 0.4 * z - 1) / 0.16
            cells[width] = [
                Trial(2.0**a, 2 * math.exp(b + 0.005 * generator.standard_normal()))
                for a, b in zip(x, y, strict=True)
            ]
        found = fit_optima(cells)
        said.append(judge([found[width] for width in WIDTHS]).verdict)
    assert said.count(word) >= 17
    assert {"transfers", "drifts"} - {word} not in (set(said),)


def test_bad_input_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="no optimum was tuned at the base"):
        losses_paid(WIDTHS, [optimum(-6.0)] * 3, 32)
    with pytest.raises(WindtunnelError, match="not a positive number"):
        judge_axis("width", [0, 24], [optimum(-6.0)] * 2, [], 96)

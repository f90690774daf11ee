from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.laws.backtest import BackTest, back_tests, distance, form_error
from windtunnel.laws.chinchilla import Design, ExponentPrior
from windtunnel.laws.points import LawData, LawPoint, law_data


def data(penalty: float = 0.0) -> LawData:
    return law_data(
        [
            LawPoint(n, d, (0.7 + 15 / n**0.35 + 60 / d**0.35) * (1 + penalty * (n > 2e5)))
            for n in (2e4, 7e4, 2.5e5)
            for d in (2.5e5, 5e5, 1e6)
        ]
    )


def run_on(points: LawData) -> list[BackTest]:
    observed = np.log(points.loss) - Design.of(points).middle[2]
    generator = np.random.default_rng(0)
    drawn = observed + 0.003 * generator.standard_normal((20, len(points)))
    prior = ExponentPrior()
    centres = np.full((20, 2), np.log(prior.centre))
    return back_tests(points, drawn, 0.003, prior=prior, prior_centres=centres, delta=1e-3)


def test_the_true_law_foretells_what_was_left_out() -> None:
    found = {test.held_out: test for test in run_on(data())}
    assert set(found) == {"params", "units", "both"}
    assert all(abs(test.error) < 0.002 for test in found.values())
    assert found["params"].points == found["units"].points == 3
    assert found["both"].points == 1
    assert found["params"].distance == pytest.approx(math.log(2.5e5 / 7e4))
    assert found["both"].distance == pytest.approx(math.log(2 * 2.5e5 / 7e4))


def test_a_penalty_on_the_largest_size_is_seen_where_that_size_is_left_out() -> None:
    found = {test.held_out: test for test in run_on(data(penalty=0.1))}
    assert found["params"].error == pytest.approx(-math.log(1.1), abs=0.01)
    assert found["both"].error < -0.05


def test_form_error_grows_with_distance_and_with_what_was_missed() -> None:
    good, bad = BackTest("params", 0.001, 0.01, 1.0, 3), BackTest("params", 0.1, 0.01, 1.0, 3)
    assert form_error([bad], 1.0) > 5 * form_error([good], 1.0) > 0
    assert form_error([bad], 2.0) == pytest.approx(2 * form_error([bad], 1.0))
    assert form_error([bad], 0.0) == 0


def test_two_sizes_leave_nothing_to_hold_out() -> None:
    points = law_data(
        [LawPoint(n, d, 1 + 1e4 / n + 1e5 / d) for n in (1e4, 2e4) for d in (1e5, 2e5)]
    )
    assert run_on(points) == []


def test_distance_is_zero_inside_and_adds_up_outside() -> None:
    points = data()
    assert distance(points, 1e5, 5e5) == 0
    assert distance(points, 5e5, 2e6) == pytest.approx(2 * math.log(2))

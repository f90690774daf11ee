from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.report.progress import StudyProgress
from windtunnel.studies.fit import fit, interpolated_lr, tuned_optima
from windtunnel.studies.study import Study
from windtunnel.studies.tune import tune

SHORT, LONG = 1000, 8000


def optima(at_short: float, at_long: float) -> dict[tuple[int, int], dict[str, float]]:
    return {
        (32, SHORT): {"log2_value": at_short},
        (32, LONG): {"log2_value": at_long},
        (64, SHORT): {"log2_value": 100.0},  # another width's, which must not matter
    }


@given(st.floats(-12, 0), st.floats(-12, 0))
def test_the_rate_is_linear_in_log_length(at_short: float, at_long: float) -> None:
    tuned = optima(at_short, at_long)
    assert math.log2(interpolated_lr(tuned, 32, SHORT)) == pytest.approx(at_short)
    assert math.log2(interpolated_lr(tuned, 32, LONG)) == pytest.approx(at_long)
    # 2000 is one doubling of the three between.
    expected = at_short + (at_long - at_short) / 3
    assert math.log2(interpolated_lr(tuned, 32, 2000)) == pytest.approx(expected)


def test_with_one_tuned_length_its_rate_is_kept() -> None:
    assert interpolated_lr({(32, SHORT): {"log2_value": -5.0}}, 32, 4000) == 2**-5


def test_the_law_gets_every_width_at_every_length(finished: Any) -> None:
    fitted = finished.study.read("fit")
    ladder = finished.study.spec.ladder
    found = [(point["width"], point["units"]) for point in fitted["points"]]
    assert found == [(width, units) for width in ladder.width for units in ladder.units]
    tuned = {units for point in fitted["points"] if point["tuned"] for units in [point["units"]]}
    assert tuned == {ladder.units[0], ladder.units[-1]}
    for point in fitted["points"]:
        truth = finished.law.loss(point["params"], point["units"])
        assert point["loss"] == pytest.approx(truth, rel=0.02)


def test_the_interpolated_rate_is_checked_an_octave_to_either_side(finished: Any) -> None:
    check = finished.study.read("fit")["interpolation"]
    between = [
        run.recipe.lr
        for run in finished.law.trained
        if (run.scale.width, run.scale.units) == (check["width"], check["units"])
    ]
    assert sorted(between) == pytest.approx([check["interpolated_lr"] * f for f in (0.5, 1, 2)])
    assert abs(check["octaves_off"]) < 0.5  # the known law's optimum does not move with length


@pytest.mark.parametrize("lengths", [[16_384], [16_384, 131_072]])
def test_with_nothing_between_nothing_is_trained(
    make_study: Any, known_law: Any, quiet: StudyProgress, lengths: list[int]
) -> None:
    study: Study = make_study(ladder={"width": [16, 32], "depth": 1, "tokens": lengths})
    tune(study, quiet)
    trained = len(known_law.trained)
    outcome = fit(study, quiet)
    assert len(known_law.trained) == trained
    assert len(outcome["points"]) == 2 * len(lengths)
    assert outcome["interpolation"] is None


def test_optima_are_the_own_rules(finished: Any) -> None:
    assert set(tuned_optima(finished.study)) == {
        (width, units) for width in (16, 32, 64) for units in (16_384, 131_072)
    }

from __future__ import annotations

from typing import Any

import pytest

from windtunnel.studies.study import Study
from windtunnel.studies.words import (
    check_sentence,
    cost_sentence,
    fit_sentences,
    forecast_sentences,
    rate_range,
    target_sentence,
    transfer_sentences,
    tune_sentences,
)

FORECAST = {"lr": 0.01, "lr_ci90": [0.005, 0.02], "loss": 2.5, "ci90": [2.4, 2.6], "reason": "why"}


@pytest.mark.parametrize(
    ("verdict", "tone"), [("pass", "good"), ("fail", "bad"), ("cannot say", "warn")]
)
def test_a_check_in_words(verdict: str, tone: str) -> None:
    outcome = {
        "rule": "mup",
        "verdict": verdict,
        "max_abs_slope": 0.31,
        "reason": "too few",
        "axis": "width",
    }
    sentence = check_sentence(outcome)
    assert sentence.tone == tone
    assert "0.31" in sentence.text
    assert ("too few" in sentence.text) is (verdict != "pass")


@pytest.mark.parametrize(
    ("verdict", "tone"), [("transfers", "good"), ("drifts", "bad"), ("cannot say", "warn")]
)
def test_an_axis_in_words(verdict: str, tone: str) -> None:
    axis = {"axis": "width", "verdict": verdict, "reason": "why", "next_run": "a run at 64"}
    (sentence,) = transfer_sentences({"axes": [axis]})
    assert sentence.tone == tone
    assert sentence.text.startswith("Width ")
    assert "a run at 64 would settle it" in sentence.text


@pytest.mark.parametrize(
    ("verdict", "tone"), [("ok", "good"), ("wide", "warn"), ("cannot say", "warn")]
)
def test_a_forecast_in_words(study: Study, verdict: str, tone: str) -> None:
    tuned, said = forecast_sentences({**FORECAST, "verdict": verdict}, study)
    assert "0.0100" in tuned.text
    assert "0.00500 to 0.0200" in tuned.text
    assert "2.500" in said.text
    assert said.tone == tone
    assert ("why" in said.text) is (verdict != "ok")


def test_no_forecast_in_words(study: Study) -> None:
    nothing = {**FORECAST, "loss": None, "ci90": None, "lr_ci90": None, "verdict": "cannot say"}
    tuned, said = forecast_sentences(nothing, study)
    assert "no finite range" in tuned.text
    assert "cannot be told: why" in said.text


def test_a_loss_without_a_range_in_words(study: Study) -> None:
    _, said = forecast_sentences({**FORECAST, "ci90": None, "verdict": "cannot say"}, study)
    assert "2.500" in said.text
    assert "None" not in said.text


@pytest.mark.parametrize(("inside", "side"), [(True, "inside"), (False, "outside")])
def test_a_target_in_words(study: Study, inside: bool, side: str) -> None:
    sentence = target_sentence({"loss": 2.5, "error_percent": -1.25, "inside": inside}, study)
    assert f"{side} the forecast" in sentence.text
    assert sentence.tone == ("good" if inside else "bad")


def test_a_target_without_a_forecast_in_words(study: Study) -> None:
    outcome = {"loss": 2.5, "error_percent": None, "inside": False}
    assert "no forecast" in target_sentence(outcome, study).text


def test_a_target_whose_forecast_had_no_range_is_neither_inside_nor_outside(study: Study) -> None:
    sentence = target_sentence({"loss": 2.5, "error_percent": -1.25, "inside": None}, study)
    assert "no range" in sentence.text
    assert sentence.tone == "warn"


def test_every_tuned_scale_of_the_own_rule_is_told(finished: Any) -> None:
    found = tune_sentences(finished.study.read("tune"), finished.study)
    assert len(found) == 6
    assert {sentence.tone for sentence in found} == {"good"}


def test_a_scale_without_an_optimum_says_why(study: Study) -> None:
    sweep = {"rule": "mup", "width": 16, "units": 1000, "optimum": None}
    (sentence,) = tune_sentences(
        {"rule": "mup", "sweeps": [sweep], "reason": "all diverged"}, study
    )
    assert "all diverged" in sentence.text
    assert sentence.tone == "warn"


def test_cost_in_words(finished: Any) -> None:
    spent = finished.summary["cost"]
    times = spent["direct_flops"] / spent["tuning_flops"]
    assert f"{times:.1f} times as much" in cost_sentence(spent).text


@pytest.mark.parametrize(("off", "tone"), [(0.2, "good"), (-0.2, "good"), (0.9, "warn")])
def test_a_fit_in_words(off: float, tone: str) -> None:
    outcome = {"points": [1, 2, 3], "interpolation": {"width": 32, "octaves_off": off}}
    first, second = fit_sentences(outcome)
    assert "3 points" in first.text
    assert second.tone == tone
    assert len(fit_sentences({**outcome, "interpolation": None})) == 1


@pytest.mark.parametrize("unknown", [None, [None, None], [0.1, None]])
def test_a_range_that_is_not_known(unknown: Any) -> None:
    assert rate_range(unknown) == " (no finite range)"

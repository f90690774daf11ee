from __future__ import annotations

import json
from typing import Any

import pytest

from windtunnel.report.progress import StudyProgress
from windtunnel.studies import workflow
from windtunnel.studies.study import Study
from windtunnel.studies.workflow import run_study

STEPS = ("tune", "transfer", "fit", "forecast", "target", "clock")


def test_a_known_law_is_tuned_forecast_and_confirmed(finished: Any) -> None:
    summary, study, law = finished.summary, finished.study, finished.law
    params = study.family.parameter_count(study.target).non_embedding
    truth = law.loss(params, study.target.units)
    assert summary["transfer"]["verdict"] == "transfers"
    assert summary["transfer"]["slope"] == pytest.approx(0, abs=0.2)
    assert summary["transfer"]["sp_slope"] == pytest.approx(-1, abs=0.25)
    assert summary["tuned"]["lr"] == pytest.approx(2**law.best, rel=0.25)
    low, high = summary["tuned"]["lr_ci90"]
    assert low < 2**law.best < high
    # A dozen points leave fewer than nine runs to foretell: too few to check 90 % on.
    assert summary["forecast"]["verdict"] == "wide"
    assert "cannot be checked" in summary["forecast"]["reason"]
    assert summary["forecast"]["loss"] == pytest.approx(truth, rel=0.02)
    assert summary["forecast"]["ci90"][0] < truth < summary["forecast"]["ci90"][1]
    assert summary["target"]["inside"] is True
    assert summary["target"]["loss"] == pytest.approx(truth, rel=0.01)


def test_no_run_is_trained_twice_and_the_target_is_last(finished: Any) -> None:
    runs = finished.law.trained
    assert len({run.key for run in runs}) == len(runs)
    at_target = [run.scale == finished.study.target for run in runs]
    assert at_target == [False] * (len(runs) - 1) + [True]


def test_a_second_call_trains_nothing_and_keeps_what_is_written(
    copied: Study, finished: Any, known_law: Any, quiet: StudyProgress
) -> None:
    before = {step: (copied.folder / f"{step}.json").stat().st_mtime_ns for step in STEPS}
    assert run_study(copied, quiet) == finished.summary
    assert known_law.trained == []
    assert before == {s: (copied.folder / f"{s}.json").stat().st_mtime_ns for s in STEPS}


def test_the_clock_adds_up_over_calls_that_were_stopped(
    study: Study, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "check", stopped)
    clock = study.folder / "clock.json"
    counted = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_study(study, quiet)
        counted.append(json.loads(clock.read_text())["wall_seconds"])
    assert counted[1] > counted[0] > 0


def test_what_was_searched_beside_the_rate_reaches_the_target(
    make_study: Any, known_law: Any, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    bracket = {"lr": {"low": 0.004, "high": 0.064, "points": 5}}
    decay = {"weight_decay": {"low": 0.02, "high": 0.32, "points": 3}}
    study = make_study(search={"hyperparameters": bracket | decay, "seeds": 1})
    monkeypatch.setattr(workflow, "check", lambda study, rule, progress: None)
    run_study(study, quiet)
    tuned = {s["others"]["weight_decay"] for s in study.needed("tune", "tune")["sweeps"]}
    assert known_law.trained[-1].scale == study.target
    assert known_law.trained[-1].recipe.weight_decay in tuned

from __future__ import annotations

from typing import Any

import pytest

from windtunnel.errors import NegativeVerdictError, WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Skip
from windtunnel.studies.study import Study
from windtunnel.studies.target import target_run, train_target

FORECAST = {"lr": 2**-6, "loss": 2.5, "ci90": [2.4, 2.6], "verdict": "ok", "reason": ""}


def test_it_trains_one_run_at_the_forecasts_rate(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    study.write("forecast", FORECAST)
    train_target(study, quiet)
    assert known_law.trained == [target_run(study, FORECAST)]
    assert known_law.trained[0].scale == study.target


@pytest.mark.parametrize(
    ("ci90", "inside"), [([0.1, 9.0], True), ([0.1, 0.2], False), ([8.0, 9.0], False), (None, None)]
)
def test_inside_or_not(
    study: Study, known_law: Any, quiet: StudyProgress, ci90: Any, inside: bool | None
) -> None:
    study.write("forecast", {**FORECAST, "ci90": ci90})
    assert train_target(study, quiet)["inside"] is inside


def test_the_error_is_signed_and_in_percent_of_what_came(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    known_law.noise = 0.0
    study.write("forecast", FORECAST)
    params = study.family.parameter_count(study.target).non_embedding
    came = known_law.loss(params, study.target.units)
    outcome = train_target(study, quiet)
    assert outcome["loss"] == pytest.approx(came)
    assert outcome["error_percent"] == pytest.approx(100 * (2.5 / came - 1))


def test_again_gives_the_same_and_trains_nothing(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    study.write("forecast", FORECAST)
    assert train_target(study, quiet) == train_target(study, quiet)
    assert len(known_law.trained) == 1


def test_a_diverged_target_refutes_the_forecast(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    known_law.diverges = lambda run: True
    study.write("forecast", FORECAST)
    with pytest.raises(NegativeVerdictError, match=r"^target: diverged at step") as refuted:
        train_target(study, quiet)
    assert refuted.value.exit_code == 3


def test_a_forecast_without_a_loss_is_no_error(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    study.write("forecast", {**FORECAST, "loss": None, "ci90": None, "verdict": "cannot say"})
    outcome = train_target(study, quiet)
    assert outcome["error_percent"] is None


def test_without_a_forecast_nothing_is_trained(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    with pytest.raises(WindtunnelError, match="first run `windtunnel forecast"):
        train_target(study, quiet)
    assert known_law.trained == []


def test_a_target_that_diverged_may_be_tried_again_with_another_skip(
    study: Study, make_study: Any, known_law: Any, quiet: StudyProgress
) -> None:
    known_law.diverges = lambda run: run.skip is None
    study.write("forecast", FORECAST)
    with pytest.raises(NegativeVerdictError):
        train_target(study, quiet)
    patient = make_study(training={"skip": {"limit": 3}})
    assert patient.fingerprint == study.fingerprint  # nothing that was done before is lost
    outcome = train_target(patient, quiet)
    assert [run.skip for run in known_law.trained] == [None, Skip(3)]
    assert train_target(patient, quiet) == outcome
    other = make_study(training={"skip": {"limit": 4}})
    with pytest.raises(WindtunnelError, match="the target was trained already, under another"):
        train_target(other, quiet)
    assert len(known_law.trained) == 2


def test_a_target_that_skipped_too_much_says_so(
    make_study: Any, known_law: Any, quiet: StudyProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(training={"skip": {"limit": 1}})
    known_law.diverges = lambda run: True
    known_law.more = {"skipped": [[3, "why not"], [7, "the gradient is not finite"]]}
    study.write("forecast", FORECAST)
    with pytest.raises(
        NegativeVerdictError,
        match=r"when 2 steps had been skipped \(training.skip.limit: 1\); at the last, the grad",
    ):
        train_target(study, quiet)

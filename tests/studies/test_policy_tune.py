"""Studies that one of the search policies tunes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from windtunnel.errors import CannotSayError, WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.search.policy import Budget
from windtunnel.studies import workflow
from windtunnel.studies.policies import TUNING_SEED, StudyTrials, study_policy
from windtunnel.studies.report import sentences
from windtunnel.studies.study import Study
from windtunnel.studies.tune import tune
from windtunnel.studies.workflow import run_study

from .conftest import MakeStudy, pretend_check

RATE = {"low": 0.001, "high": 0.256, "points": 5}
BEST = 2**-6


def searched(make_study: MakeStudy, policy: Any, **changes: Any) -> Study:
    search = {"hyperparameters": {"lr": RATE}, "policy": policy, **changes.pop("search", {})}
    return make_study(search=search, **changes)


def octaves_off(outcome: dict[str, Any]) -> float:
    return abs(math.log2(outcome["recommended"]["lr"] / BEST))


@pytest.mark.parametrize(
    ("policy", "runs"),
    [
        ({"name": "sobol", "options": {"trials": 16}}, 16),
        ({"name": "random", "options": {"trials": 16}}, 16),
        ({"name": "successive-halving", "options": {"trials": 9}}, 9 + 3),
        ({"name": "asha", "options": {"trials": 9}}, None),
        ({"name": "hyperband", "options": {"eta": 2}}, None),
        ({"name": "iterative-deepening-hyperband", "options": {"eta": 2, "raises": 1}}, None),
        ({"name": "dehb", "options": {"eta": 2, "passes": 1}}, None),
        ("telescoping", None),
        ("ladder", None),
        ({"name": "optuna", "options": {"trials": 16, "sampler": "tpe"}}, 16),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else str(value),
)
def test_every_policy_finds_the_best_rate_in_a_study(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress, policy: Any, runs: int | None
) -> None:
    study = searched(make_study, policy)
    outcome = tune(study, quiet)
    assert octaves_off(outcome) < 0.8
    assert outcome["recommended"]["edges"] == []
    assert runs is None or outcome["trials"] == runs == len(known_law.trained)
    first = study.run(study.rule, study.base, study.spec.recipe.recipe(lr=1)).init_seed
    assert all(run.init_seed > first for run in known_law.trained), "the law's seed stays unseen"
    again = len(known_law.trained)
    assert tune(study, quiet) == outcome and len(known_law.trained) == again, "nothing twice"


def test_a_run_is_told_apart_as_the_trial_that_it_was_made_for(make_study: MakeStudy) -> None:
    for policy in ("ladder", "telescoping", {"name": "asha", "options": {"trials": 4}}):
        study = searched(make_study, policy)
        answer = study_policy(study)[0].next((), Budget(), study.spec.seed)
        assert isinstance(answer, list)
        translation = StudyTrials(study)
        for decision in answer:
            run = translation.run_of(decision.run)
            assert translation.trial_of(run) == decision.run
            assert run.init_seed - study.first_seed >= TUNING_SEED


def test_a_promoted_trial_is_a_longer_run_of_the_same_recipe(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    study = searched(make_study, {"name": "successive-halving", "options": {"trials": 9}})
    tune(study, quiet)
    short = [run for run in known_law.trained if run.scale.units == 16_384]
    longer = [run for run in known_law.trained if run.scale.units == 3 * 16_384]
    assert (len(short), len(longer)) == (9, 3)
    assert {run.recipe for run in longer} <= {run.recipe for run in short}
    assert {run.scale.width for run in known_law.trained} == {64}, "the ladder's largest width"


def test_a_ladder_says_how_the_optimum_moves_and_what_to_set_at_each_scale(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    outcome = tune(searched(make_study, "ladder"), quiet)
    low, high = outcome["recommended"]["lr_ci90"]
    assert low < BEST < high
    assert outcome["regret"] <= 0.002 and outcome["directly"] == []
    assert [axis["verdict"] for axis in outcome["axes"]] == ["transfers", "transfers"]
    for axis in outcome["axes"]:
        low, high = axis["slope_ci90"]
        assert low < 0 < high, "under the rule the best rate stays put"
    assert len(outcome["recipes"]) == 3 * 4


def test_a_ladder_sees_a_rate_that_drifts(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    study = searched(
        make_study,
        {"name": "ladder", "options": {"accepted": 0.0005}},
        rule="sp",
        search={"parallelism": 1},
    )
    outcome = tune(study, quiet)
    low, high = outcome["axes"][0]["slope_ci90"]
    assert low < -1 < high, "an octave down for every doubling of the width"
    assert math.log2(outcome["recommended"]["lr"]) == pytest.approx(-6 - 3, abs=0.7)


def test_one_scale_cannot_say_whether_anything_transfers(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    outcome = tune(searched(make_study, {"name": "sobol", "options": {"trials": 8}}), quiet)
    assert [axis["verdict"] for axis in outcome["axes"]] == ["cannot say", "cannot say"]
    assert "width 64" in outcome["axes"][0]["reason"]


@pytest.mark.parametrize("policy", ["ladder", {"name": "asha", "options": {"trials": 9}}])
def test_a_whole_study_with_a_policy(
    make_study: MakeStudy,
    known_law: Any,
    quiet: StudyProgress,
    monkeypatch: pytest.MonkeyPatch,
    policy: Any,
) -> None:
    monkeypatch.setattr(workflow, "check", pretend_check)
    study = searched(make_study, policy)
    summary = run_study(study, quiet)
    assert abs(summary["target"]["error_percent"]) < 2
    assert summary["transfer"]["verdict"] == ("transfers" if policy == "ladder" else "cannot say")
    fitted = study.needed("fit", "fit")
    assert len(fitted["points"]) == 3 * 4
    words = " ".join(sentence.text for sentence in sentences(study))
    assert "Learning rate" in words and "90 % range" in words
    page = (study.folder / "report.html").read_text(encoding="utf-8")
    assert "learning-rates" in page and "None" not in page
    assert "What was tried, and where the FLOPs went" in page


def test_a_best_value_at_the_end_of_its_range_is_said(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    study = make_study(
        search={
            "hyperparameters": {"lr": {"low": 0.0001, "high": 0.002}},
            "policy": {"name": "telescoping", "options": {"points": 5}},
        }
    )
    assert tune(study, quiet)["recommended"]["edges"] == ["lr"]
    assert any("at an end of the range" in sentence.text for sentence in sentences(study))


def test_several_hyperparameters_are_searched_together(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    study = searched(
        make_study,
        "ladder",
        search={
            "hyperparameters": {"lr": RATE, "weight_decay": {"low": 0.01, "high": 1.0}},
        },
    )
    outcome = tune(study, quiet)
    assert octaves_off(outcome) < 0.8
    assert set(outcome["recommended"]["others"]) == {"weight_decay"}
    assert len({run.recipe.weight_decay for run in known_law.trained}) > 3


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("tpe", "search.policy: no policy 'tpe'; choose from brackets, random"),
        ("pbt", "use windtunnel.tune"),
        ({"name": "asha", "options": {"colour": 1}}, "its options are"),
        ({"name": "asha", "options": {"least": 1}}, "options.least: the study's ladder"),
        ({"name": "hyperband", "options": {"eta": 2.5}}, "whole number"),
        ({"name": "sobol", "width": 48}, "none of the ladder's widths"),
        ("trajectory-invariance", "it searches lr and weight_decay"),
    ],
    ids=str,
)
def test_what_a_study_cannot_search_is_refused_before_anything_trains(
    make_study: MakeStudy,
    known_law: Any,
    quiet: StudyProgress,
    policy: Any,
    message: str,
) -> None:
    with pytest.raises(WindtunnelError, match=message):
        run_study(searched(make_study, policy), quiet)
    assert known_law.trained == []


def test_a_study_without_a_policy_is_known_as_before(make_study: MakeStudy) -> None:
    plain = make_study()
    named = make_study(
        search={
            "hyperparameters": {"lr": {"low": 0.004, "high": 0.064, "points": 5}},
            "seeds": 2,
            "policy": "brackets",
        }
    )
    other = searched(make_study, "ladder")
    assert plain.fingerprint == named.fingerprint != other.fingerprint


def test_the_outcome_is_plain_json(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    study = searched(make_study, "ladder")
    outcome = tune(study, quiet)
    assert json.loads((study.folder / "tune.json").read_text())["recipes"] == outcome["recipes"]


@pytest.mark.parametrize("policy", ["ladder", {"name": "sobol", "options": {"trials": 4}}])
def test_a_search_in_which_all_diverges_cannot_say(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress, policy: Any
) -> None:
    known_law.diverges = lambda run: True
    if policy == "ladder":
        policy = {"name": "ladder", "options": {"runs": 6}}
    with pytest.raises(CannotSayError, match=r"all \d+ runs diverged"):
        tune(searched(make_study, policy), quiet)


def test_one_width_is_no_evidence_that_a_rule_transfers(
    make_study: MakeStudy, known_law: Any, quiet: StudyProgress
) -> None:
    ladder = {"width": [64], "depth": 1, "tokens": [16_384, 65_536, 131_072]}
    outcome = tune(searched(make_study, "ladder", ladder=ladder), quiet)
    axes = {axis["axis"]: axis for axis in outcome["axes"]}
    assert axes["width"]["verdict"] == "cannot say"
    assert "every run had the same width" in axes["width"]["reason"]
    assert axes["width"]["next_run"] == "runs at another width"

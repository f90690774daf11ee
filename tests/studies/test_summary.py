from __future__ import annotations

import json
from typing import Any

import pytest

from windtunnel.studies.study import Study
from windtunnel.studies.summary import cost, summarise


def test_a_study_that_has_not_begun_has_no_numbers_and_gets_no_files(study: Study) -> None:
    summary = summarise(study)
    for part in ("coordinate_check", "transfer", "tuned", "forecast", "target"):
        assert summary[part] is None
    assert summary["cost"]["runs"] == 0
    assert [path.name for path in study.folder.iterdir()] == ["study.yaml"]


def test_it_is_plain_json_without_nan(finished: Any) -> None:
    text = json.dumps(finished.summary, allow_nan=False)
    assert json.loads(text) == finished.summary
    assert json.loads((finished.study.folder / "summary.json").read_text()) == finished.summary


def test_costs_are_sums_over_the_runs(finished: Any) -> None:
    spent, runs = cost(finished.study), finished.law.trained
    family = finished.study.family

    def flops(chosen: Any) -> float:
        return sum(family.flops_per_unit(r.scale, 16) * r.scale.units for r in chosen)

    target = [run for run in runs if run.scale == finished.study.target]
    own = [run for run in runs if run.rule == "mup" and run not in target]
    assert spent["runs"] == len(runs)
    assert spent["tuning_flops"] == pytest.approx(flops(own))
    assert spent["diagnostic_flops"] == pytest.approx(flops(r for r in runs if r.rule == "sp"))
    assert spent["target_flops"] == pytest.approx(flops(target))
    rates = max(
        len({run.recipe.lr for run in own if run.scale == scale})
        for scale in {r.scale for r in own}
    )
    assert spent["direct_rates"] == rates
    assert spent["direct_flops"] == pytest.approx(rates * flops(target))


def test_both_checks_are_shown(finished: Any) -> None:
    assert finished.summary["coordinate_check"] == {
        "verdict": "pass",
        "max_abs_slope": 0.1,
        "sp_verdict": "fail",
        "sp_max_abs_slope": 1.0,
    }

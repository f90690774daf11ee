from __future__ import annotations

import math
from typing import Any

import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.studies.study import Study
from windtunnel.studies.tune import bracket_policy, cell_name, tune

SHORT, LONG = 16_384, 131_072


def cells(study: Study) -> dict[str, Any]:
    return {cell.name: cell for cell in bracket_policy(study).cells}


def test_the_own_rule_is_searched_at_both_ends_and_sp_at_the_shortest(study: Study) -> None:
    own = {cell_name("mup", width, units) for width in (16, 32, 64) for units in (SHORT, LONG)}
    # At base, width 16, sp is what mup is.
    assert set(cells(study)) == own | {cell_name("sp", width, SHORT) for width in (32, 64)}


def test_each_cell_starts_from_a_smaller_one_and_only_the_first_is_cold(study: Study) -> None:
    warm = {name: cell.warm for name, cell in cells(study).items()}
    assert warm.pop(cell_name("mup", 16, SHORT)) is None
    assert warm == {
        cell_name("mup", 32, SHORT): cell_name("mup", 16, SHORT),
        cell_name("mup", 64, SHORT): cell_name("mup", 32, SHORT),
        cell_name("mup", 16, LONG): cell_name("mup", 16, SHORT),
        cell_name("mup", 32, LONG): cell_name("mup", 32, SHORT),
        cell_name("mup", 64, LONG): cell_name("mup", 64, SHORT),
        cell_name("sp", 32, SHORT): cell_name("mup", 16, SHORT),
        cell_name("sp", 64, SHORT): cell_name("sp", 32, SHORT),
    }


def test_sp_is_cold_where_the_base_is_no_proxy(make_study: Any) -> None:
    found = cells(make_study(base={"width": 128, "depth": 1, "tokens": SHORT}))
    assert found[cell_name("sp", 16, SHORT)].warm is None


def test_sp_expects_the_rate_to_fall_with_width_and_mup_does_not(make_study: Any) -> None:
    study = make_study(ladder={"width": [16, 32, 128], "depth": 1, "tokens": [SHORT]})
    shifts = {name: cell.shift for name, cell in cells(study).items()}
    assert shifts[cell_name("sp", 32, SHORT)] == -1
    assert shifts[cell_name("sp", 128, SHORT)] == -2
    assert {shift for name, shift in shifts.items() if name.startswith("mup")} == {0.0}


def test_replicates_are_the_own_rules_at_the_shortest_length(study: Study) -> None:
    replicated = {name for name, cell in cells(study).items() if cell.seeds == 2}
    assert replicated == {cell_name("mup", width, SHORT) for width in (16, 32, 64)}
    assert {cell.seeds for cell in cells(study).values()} == {1, 2}


def test_a_study_of_sp_searches_sp_once(make_study: Any) -> None:
    found = cells(make_study(rule="sp"))
    assert {cell.template.rule for cell in found.values()} == {"sp"}
    assert len(found) == 6


def test_the_rate_comes_first_among_the_axes(make_study: Any) -> None:
    ranges = {"low": 0.01, "high": 0.1, "points": 3}
    study = make_study(search={"hyperparameters": {"beta2": ranges, "lr": ranges}})
    assert [axis.name for axis in bracket_policy(study).axes] == ["lr", "beta2"]


def test_known_optima_are_found(finished: Any) -> None:
    for sweep in finished.study.read("tune")["sweeps"]:
        doublings = math.log2(sweep["width"] / 16) if sweep["rule"] == "sp" else 0
        assert sweep["optimum"]["edge"] is None
        low, high = sweep["optimum"]["ci90"]
        truth = finished.law.best - doublings
        assert low - 0.3 < truth < high + 0.3
        assert sweep["optimum"]["log2_value"] == pytest.approx(truth, abs=0.4)
        assert len({point["lr"] for point in sweep["points"]}) >= 3


def test_a_cell_where_all_diverges_has_no_optimum_and_the_reason_says_so(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    known_law.diverges = lambda run: run.rule == "sp"
    outcome = tune(study, quiet)
    assert {s["rule"] for s in outcome["sweeps"] if s["optimum"] is None} == {"sp"}
    assert "diverged" in outcome["reason"]


@pytest.mark.parametrize("policy", ["brackets", "ladder", "hyperband"])
def test_a_run_that_fails_costs_itself_alone(
    make_study: Any, known_law: Any, quiet: StudyProgress, policy: str
) -> None:
    search = {"hyperparameters": {"lr": {"low": 0.001, "high": 0.256}}, "policy": policy}
    study = make_study(search=search)
    begun: list[str] = []
    known_law.fails = lambda run: (begun.append(run.key), begun.index(run.key) == 2)[1]
    outcome = tune(study, quiet)
    losses = [point["loss"] for sweep in outcome["sweeps"] for point in sweep["points"]]
    assert losses and None not in losses
    assert tune(study, quiet) == outcome, "it isn't tried again, since others were decided by it"
    assert begun.count(begun[2]) == 1


@pytest.mark.parametrize("policy", ["brackets", "sobol"])
def test_a_search_in_which_all_fails_goes_on_once_that_is_mended(
    make_study: Any, known_law: Any, quiet: StudyProgress, policy: str
) -> None:
    search = {"hyperparameters": {"lr": {"low": 0.001, "high": 0.256}}, "policy": policy}
    study = make_study(search=search)
    known_law.fails = lambda run: True
    with pytest.raises(WindtunnelError, match=r"in a row failed.*the model is broken.*anew"):
        tune(study, quiet)
    known_law.fails = lambda run: False
    outcome = tune(study, quiet)
    untroubled = make_study("other", search=search)
    assert tune(untroubled, quiet)["sweeps"] == outcome["sweeps"]

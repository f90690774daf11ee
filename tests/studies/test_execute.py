from __future__ import annotations

from typing import Any

import pytest

from windtunnel.errors import CannotSayError, WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.policy import Decision
from windtunnel.studies.execute import execute, results, step_of
from windtunnel.studies.study import Study


def decisions(study: Study, rates: list[float]) -> list[Decision]:
    def run(lr: float) -> Run:
        return study.run("mup", study.proxy(16, 16_384), study.spec.recipe.recipe(lr=lr))

    return [Decision(run(lr), "for the test") for lr in rates]


def test_what_is_decided_is_trained_once(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    policy = FixedPolicy(decisions(study, [0.01, 0.02]))
    table, _ = execute(study, "tune", policy, quiet)
    assert [row.run.recipe.lr for row in table] == [0.01, 0.02]
    assert execute(study, "tune", policy, quiet)[0] == table
    assert len(known_law.trained) == 2


def test_steps_have_tables_of_their_own(study: Study, known_law: Any, quiet: StudyProgress) -> None:
    for step, rate in (("tune", 0.01), ("fit", 0.02), ("target", 0.03)):
        table, _ = execute(study, step, FixedPolicy(decisions(study, [rate])), quiet)
        assert [row.run.recipe.lr for row in table] == [rate]
    found = results(study)
    assert {step: [r["run"].recipe.lr for r in rows] for step, rows in found.items()} == {
        "tune": [0.01],
        "fit": [0.02],
        "target": [0.03],
        "compare": [],
    }


@pytest.mark.parametrize(("number", "step"), [(0, "tune"), (99_999, "tune"), (100_000, "fit")])
def test_the_step_of_a_number(number: int, step: str) -> None:
    assert step_of(number) == step


def test_a_study_without_runs_has_no_results_and_gets_no_database(study: Study) -> None:
    assert results(study) == {"tune": [], "fit": [], "target": [], "compare": []}
    assert not (study.folder / "study.db").exists()


@pytest.mark.parametrize("budget", [{"flops": 1.0}, {"time": "1s"}])
def test_a_spent_budget_ends_the_decisions(
    make_study: Any, known_law: Any, quiet: StudyProgress, budget: dict[str, Any]
) -> None:
    study = make_study()
    execute(study, "tune", FixedPolicy(decisions(study, [0.01])), quiet)
    study.write("clock", {"wall_seconds": 100.0})
    limited = make_study(budget=budget)
    with pytest.raises(CannotSayError, match=r"budget of .* is spent; nothing was trained"):
        execute(limited, "fit", FixedPolicy(decisions(study, [0.02])), quiet)
    assert len(known_law.trained) == 1


def test_other_settings_than_the_study_began_with_are_refused(
    study: Study, known_law: Any, quiet: StudyProgress
) -> None:
    execute(study, "tune", FixedPolicy(decisions(study, [0.01])), quiet)
    with pytest.raises(WindtunnelError, match="start in a new folder"):
        execute(study, "tune", FixedPolicy(decisions(study, [0.02])), quiet)
    assert len(known_law.trained) == 1

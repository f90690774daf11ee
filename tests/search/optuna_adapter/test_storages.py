"""Optuna's storages: what is written is read again, once, and shows as it should."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna")

import optuna

from windtunnel.errors import WindtunnelError
from windtunnel.laws.sweeps.judge import judge_table
from windtunnel.laws.sweeps.table import read_tuning_table
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.optuna_adapter.export import export_runs
from windtunnel.search.optuna_adapter.read_trials import read_trials
from windtunnel.search.table import Row

optuna.logging.set_verbosity(optuna.logging.WARNING)


def rows() -> list[Row]:
    """A bowl at 2**-6 for three widths, one diverged run and one still waiting."""
    template = Run(
        family="gpt",
        family_options=(),
        optimizer="adamw",
        rule="mup",
        base=Scale(16, 1),
        scale=Scale(16, 1, 1000),
        recipe=Recipe(lr=0.01, batch_units=10),
        data=DataIdentity("0" * 64, 16, 16),
    )
    found = []
    for width in (16, 32, 64):
        for k in range(-4, 5):
            run = template.replace(
                scale=Scale(width, 1, 1000), recipe=template.recipe.replace(lr=2.0 ** (-6 + k / 2))
            )
            found.append(Row(len(found), run, "a bowl", "finished", 3 + 0.05 * (k / 2) ** 2))
    wild = template.replace(recipe=template.recipe.replace(lr=4.0))
    return [
        *found,
        Row(len(found), wild, "too high", "diverged"),
        Row(len(found) + 1, template.replace(init_seed=1), "to come", "waiting"),
    ]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"optuna:sqlite:///{tmp_path / 'optuna.db'}"


def export(address: str, runs: list[Row]) -> int:
    return export_runs(runs, address, study="mine", attributes={"rule": "mup"})


def test_export_is_incremental_and_reads_as_optuna_does(address: str) -> None:
    runs = rows()
    assert export(address, runs) == 28
    assert export(address, runs) == 0
    runs[-1] = dataclasses.replace(runs[-1], state="finished", loss=3.3)
    assert export(address, runs) == 1
    study = optuna.load_study(study_name="mine", storage=address.removeprefix("optuna:"))
    assert study.user_attrs == {"rule": "mup"}
    assert study.best_params["lr"] == 2**-6
    states = [trial.state.name for trial in study.trials]
    assert (states.count("COMPLETE"), states.count("FAIL")) == (28, 1)
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert max(importances, key=lambda name: importances[name]) == "lr"


def test_what_was_exported_gets_the_same_verdict(address: str) -> None:
    export(address, rows())
    table = read_tuning_table(read_trials(address), {})
    assert len(table.runs) == 28 and sum(run.loss is None for run in table.runs) == 1
    assert judge_table(table).axes[0].verdict == "transfers"
    assert judge_table(table).axes[0].slope == pytest.approx(0, abs=1e-6)


def test_anyones_study_is_read(address: str) -> None:
    url = address.removeprefix("optuna:")
    study = optuna.create_study(storage=url, study_name="theirs")

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("opt.lr", 1e-4, 1e-1, log=True)
        dim = trial.suggest_categorical("dim", [64, 128])
        if trial.number == 3:
            raise optuna.TrialPruned
        return 3.0 + dim / 1e3 + lr

    study.optimize(objective, n_trials=8)
    given = {"width": "dim", "lr": "opt.lr"}
    table = read_tuning_table(read_trials(address), given)
    assert [run.line for run in table.runs] == [0, 1, 2, 4, 5, 6, 7]
    assert "1 rows whose status is 'pruned' are left out." in table.remarks
    trial = study.trials[0]
    assert table.runs[0].loss == trial.value
    assert np.isclose(table.runs[0].lr, trial.params["opt.lr"])


def test_several_studies_have_to_be_told_apart(address: str) -> None:
    url = address.removeprefix("optuna:")
    for name in ("one", "two"):
        optuna.create_study(storage=url, study_name=name)
    with pytest.raises(WindtunnelError, match=f"{address}#one"):
        read_trials(address)
    with pytest.raises(WindtunnelError, match="no study 'three'"):
        read_trials(f"{address}#three")
    with pytest.raises(WindtunnelError, match="has no trial"):
        read_trials(f"{address}#two")


@pytest.mark.parametrize("wrong", ["optuna:runs.db", "optuna:", "optuna:nothing://x"])
def test_an_address_that_is_none_is_one_line(wrong: str) -> None:
    with pytest.raises(WindtunnelError) as refused:
        read_trials(wrong)
    assert "\n" not in str(refused.value)


def test_a_study_to_be_maximised_is_refused(address: str) -> None:
    url = address.removeprefix("optuna:")
    optuna.create_study(storage=url, study_name="up", direction="maximize")
    with pytest.raises(WindtunnelError, match="isn't one that minimises"):
        read_trials(address)

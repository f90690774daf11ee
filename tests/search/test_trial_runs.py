"""Policies of trials on a study's runs: carried out by worker processes, killed and not."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.conformance import assert_policy_conforms
from windtunnel.search.drive import Driver
from windtunnel.search.executors.supervisor import Supervisor, carry_out
from windtunnel.search.policies import make_policy
from windtunnel.search.space import Float, Space
from windtunnel.search.store import Store, study_database
from windtunnel.search.trial import Trial
from windtunnel.search.trial_runs import TrialRuns

# Two, since in one dimension evolution soon proposes a point again.
SPACE = Space({"lr": Float(2**-10, 2**-4, log=True), "weight_decay": Float(0.01, 1.0, log=True)})
OPTIONS: dict[str, dict[str, Any]] = {
    "sobol": {"trials": 8, "fidelity": 2700.0},
    "hyperband": {"least": 300, "most": 2700},
    "dehb": {"least": 300, "most": 2700, "passes": 1},
    "asha": {"trials": 9, "least": 300, "most": 2700, "at_once": 2},
    "ladder": {
        "scales": [{"width": w, "units": 300 * u} for w in (8, 16) for u in (1, 3)],
        "target": {"width": 32, "units": 2700},
        "accepted": 0.002,
        "runs": 12,
    },
}
STUDY = """
family: {name: gpt}
base: {width: 32, depth: 2, tokens: 128k}
ladder: {width: [32], depth: 2, tokens: [128k]}
target: {width: 64, depth: 2, tokens: 256k}
recipe: {batch: 1024}
search: {hyperparameters: {lr: {low: 0.002, high: 0.03}}}
"""


@dataclass(frozen=True)
class Lengths:
    """Fidelity is the length; `ladder`'s trials name the scale themselves."""

    scales: bool = False

    def run_of(self, trial: Trial) -> Run:
        values = trial.values
        width, units = (
            (values["width"], values["units"]) if self.scales else (8, round(trial.fidelity or 0))
        )
        return Run(
            family="gpt",
            family_options=(),
            optimizer="adamw",
            rule="mup",
            base=Scale(8, 2, 300),
            scale=Scale(int(width), 2, int(units)),
            recipe=Recipe(
                lr=float(values["lr"]), weight_decay=float(values["weight_decay"]), batch_units=100
            ),
            data=DataIdentity("abc", 128, 64),
            init_seed=trial.seed,
        )

    def trial_of(self, run: Run) -> Trial:
        values = {"lr": run.recipe.lr, "weight_decay": run.recipe.weight_decay}
        if self.scales:
            at = {"width": run.scale.width, "units": run.scale.units}
            return Trial.of({**values, **at}, seed=run.init_seed)
        return Trial.of(values, fidelity=float(run.scale.units), seed=run.init_seed)


def policy_named(name: str) -> TrialRuns:
    return TrialRuns(make_policy(name, SPACE, **OPTIONS[name]), Lengths(name == "ladder"))


def loss_of(run: Run) -> float:
    return 3 + 0.03 * (math.log2(run.recipe.lr) + 7) ** 2 + 300 / run.scale.units


@pytest.mark.parametrize("name", OPTIONS)
def test_the_contract_is_kept_on_runs(name: str) -> None:
    assert_policy_conforms(lambda: policy_named(name), loss_of, lags=(1, 3), orders=2)


@pytest.mark.parametrize("name", ["hyperband", "asha"])
def test_a_promoted_trial_is_seen_to_go_on(name: str) -> None:
    table = assert_policy_conforms(lambda: policy_named(name), loss_of, lags=(1,), orders=1)
    trials = policy_named(name).trials(table)
    longer = [row.run for row in trials if row.run.continues is not None]
    assert longer
    for trial in longer:
        assert trial.continues is not None
        before = trials[trial.continues].run
        assert (before.items, before.seed) == (trial.items, trial.seed)
        assert before.fidelity is not None and before.fidelity < (trial.fidelity or 0)


@pytest.fixture(autouse=True)
def _trainers_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path(__file__).parent / "executors")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *sys.path]))


def carried_out(folder: Path, name: str, workers: int, kills: int = 0) -> list[tuple[Any, ...]]:
    """The table, by worker processes of which some are killed."""
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    store = Store(study_database(folder), "study", Run.from_json)
    draw = random.Random(name)
    driver = Driver(store, policy_named(name), lag=2, seed=0)
    with Supervisor(
        folder, store, ["cpu"] * workers, trainer="fake_trainers:by_length"
    ) as supervisor:
        killed: Counter[int] = Counter()

        def kill(_: list[str]) -> None:
            # A run whose worker dies three times is taken to have killed it.
            held = {p.number: p.worker for p in store.progress() if killed[p.number] < 2}
            if killed.total() < kills and held and draw.random() < 0.5:
                number = draw.choice(sorted(held))
                killed[number] += 1
                os.kill(int(held[number].rpartition(":")[2]), signal.SIGKILL)

        carry_out(driver, supervisor, on_tick=kill)
    assert killed.total() == kills
    table = [(row.run.key, row.state, row.loss, row.purpose) for row in driver.table()]
    store.close()
    return table


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["hyperband", "dehb", "ladder"])
def test_the_table_is_the_same_on_more_workers_and_after_kills(tmp_path: Path, name: str) -> None:
    one = carried_out(tmp_path / "one", name, workers=1)
    assert {state for _, state, _, _ in one} == {"finished"}
    assert carried_out(tmp_path / "killed", name, workers=2, kills=4) == one


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_asynchronous_policy_loses_and_repeats_nothing(tmp_path: Path) -> None:
    table = carried_out(tmp_path / "killed", "asha", workers=2, kills=4)
    assert {state for _, state, _, _ in table} == {"finished"}
    assert len({key for key, _, _, _ in table}) == len(table)

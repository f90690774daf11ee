"""Optuna's samplers as policies: the contract's promises, and the very trials Optuna would make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("optuna")

import optuna

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.conformance import SimulatedLedger, assert_policy_conforms
from windtunnel.search.drive import Driver
from windtunnel.search.optuna_adapter.policy import OptunaPolicy, sampler_named
from windtunnel.search.optuna_adapter.space import Choice, Float, Int, Space
from windtunnel.search.policy import Budget, Stop
from windtunnel.search.table import Row

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(0.0, 0.5)}
TEMPLATE = Run(
    family="gpt",
    family_options=(),
    optimizer="adamw",
    rule="mup",
    base=Scale(16, 1),
    scale=Scale(16, 1, 1000),
    recipe=Recipe(lr=0.01, batch_units=10),
    data=DataIdentity("0" * 64, 16, 16),
)


def make_run(values: Mapping[str, Any], repeat: int) -> Run:
    recipe = TEMPLATE.recipe.replace(**{name: float(value) for name, value in values.items()})
    return TEMPLATE.replace(recipe=recipe, init_seed=repeat)


def outcome(run: Run) -> float | None:
    """A bowl around (2**-5, 0.1); the highest rates diverge."""
    if run.recipe.lr > 0.1:
        return None
    away = math.log2(run.recipe.lr) + 5
    return 2 + 0.05 * away**2 + 4 * (run.recipe.weight_decay - 0.1) ** 2


def policy(name: str, *, trials: int = 14, parallel: int = 1, space: Space = SPACE) -> OptunaPolicy:
    return OptunaPolicy(space, sampler_named(name), make_run, trials=trials, parallel=parallel)


@pytest.mark.parametrize("name", ["tpe", "cma-es", "qmc", "random"])
def test_the_contract(name: str) -> None:
    rows = assert_policy_conforms(lambda: policy(name, parallel=2), outcome, lags=(1, 3), orders=2)
    assert len(rows) == 14


def test_the_contract_of_gp() -> None:
    rows = assert_policy_conforms(lambda: policy("gp", trials=12), outcome, lags=(1,), orders=1)
    assert len(rows) == 12


@pytest.mark.parametrize("name", ["tpe", "cma-es"])
def test_one_at_a_time_they_are_optunas_own_trials(name: str) -> None:
    study = optuna.create_study(sampler=sampler_named(name)(7))
    for _ in range(30):
        trial = study.ask(
            {
                "lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
                "weight_decay": optuna.distributions.FloatDistribution(0.0, 0.5),
            }
        )
        loss = outcome(make_run(trial.params, 0))
        study.tell(trial, math.inf if loss is None else loss)
    ledger = SimulatedLedger()
    driver = Driver(ledger, policy(name, trials=30), lag=1, seed=7)
    while driver.advance() is None:
        for number in tuple(ledger.open):
            ledger.finish(number, outcome(ledger.rows[number].run))
    decided = [row.run.recipe.lr for row in ledger.rows]
    assert decided == [trial.params["lr"] for trial in study.trials]
    assert any(row.loss is None for row in ledger.rows)  # diverged ones are among them


def test_it_learns() -> None:
    """Of 40 trials the last 10 of TPE are better than its 10 random first ones."""
    rows = assert_policy_conforms(
        lambda: policy("tpe", trials=40), outcome, lags=(1,), orders=1, seed=3
    )
    losses = [9.0 if row.loss is None else row.loss for row in rows]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_the_same_values_twice_become_another_seed() -> None:
    space: Space = {"weight_decay": Choice((0.0, 0.1)), "clip_norm": Int(1, 2)}
    rows = assert_policy_conforms(
        lambda: policy("random", space=space), outcome, lags=(1,), orders=1
    )
    assert len({row.run.key for row in rows}) == 14
    assert len({(row.run.recipe.weight_decay, row.run.recipe.clip_norm) for row in rows}) == 4


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="choose from tpe, gp, cma-es, qmc, random"):
        sampler_named("bayes")


def row(number: int, run: Run, *, done: bool, loss: float | None = 2.0) -> Row:
    if not done:
        return Row(number, run, "", "waiting")
    return Row(number, run, "", "diverged" if loss is None else "finished", loss)


def test_it_waits_for_the_results_that_a_decision_rests_on_and_for_no_others() -> None:
    """Three may be open: the fourth decision needs the first result, whatever else is known."""
    table: list[Row] = []
    for number in range(3):
        answer = policy("tpe", parallel=3).next(table, Budget(), 0)
        assert not isinstance(answer, Stop) and len(answer) == 1
        table.append(row(number, answer[0].run, done=False))
    assert policy("tpe", parallel=3).next(table, Budget(), 0) == []
    first = [row(0, table[0].run, done=True), *table[1:]]
    every = [row(place, each.run, done=True) for place, each in enumerate(table)]
    assert policy("tpe", parallel=3).next(first, Budget(), 0) != []
    assert policy("tpe", parallel=3).next(first, Budget(), 0) == policy("tpe", parallel=3).next(
        every, Budget(), 0
    )


def test_a_diverged_run_is_infinitely_bad_and_a_failed_one_failed() -> None:
    told: list[tuple[str, list[float] | None]] = []

    class Listening(optuna.samplers.RandomSampler):
        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            told.append((state.name, values))

    asked = OptunaPolicy(SPACE, lambda seed: Listening(seed), make_run, trials=9)
    table: list[Row] = []
    ends = [("finished", 2.0), ("diverged", None), ("failed", None)]
    for number, (state, loss) in enumerate(ends):
        answer = asked.next(table, Budget(), 0)
        assert not isinstance(answer, Stop)
        table.append(Row(number, answer[0].run, "", state, loss))  # type: ignore[arg-type]
    asked.next(table, Budget(), 0)
    assert told == [("COMPLETE", [2.0]), ("COMPLETE", [math.inf]), ("FAIL", None)]


def test_a_spent_budget_stops_it() -> None:
    spent = policy("tpe").next([], Budget(flops=1.0, flops_used=2.0), 0)
    assert isinstance(spent, Stop) and "FLOPs is spent" in spent.reason

"""Optuna's samplers as policies: the contract's promises, and the very trials Optuna would make."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("optuna")

import optuna

from windtunnel.errors import WindtunnelError
from windtunnel.search.conformance import assert_policy_conforms
from windtunnel.search.drive import Driver
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.optuna_adapter.policy import OptunaPolicy, sampler_named
from windtunnel.search.policy import Budget, Stop
from windtunnel.search.space import Choice, Float, Int, Space
from windtunnel.search.table import Row, State
from windtunnel.search.trial import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = Space({"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(0.0, 0.5)})


def outcome(trial: Trial) -> float | None:
    """A bowl around (2**-5, 0.1); the highest rates diverge."""
    rate, decay = (float(trial.values[name]) for name in ("lr", "weight_decay"))
    if rate > 0.1:
        return None
    return 2 + 0.05 * (math.log2(rate) + 5) ** 2 + 4 * (decay - 0.1) ** 2


def policy(name: str, *, trials: int = 14, parallel: int = 1, space: Space = SPACE) -> OptunaPolicy:
    return OptunaPolicy(space, sampler=name, trials=trials, parallel=parallel)


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
        loss = outcome(Trial.of(trial.params))
        study.tell(trial, math.inf if loss is None else loss)
    ledger: MemoryLedger[Trial] = MemoryLedger()
    driver = Driver(ledger, policy(name, trials=30), lag=1, seed=7)
    while driver.advance() is None:
        for number in tuple(ledger.open):
            ledger.finish(number, outcome(ledger.rows[number].run))
    decided = [row.run.values["lr"] for row in ledger.rows]
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
    space = Space({"weight_decay": Choice((0.0, 0.1)), "layers": Int(1, 2)})
    rows = assert_policy_conforms(
        lambda: policy("random", space=space),
        lambda trial: float(trial.values["layers"]),
        lags=(1,),
        orders=1,
    )
    assert len({row.run.key for row in rows}) == 14
    assert len({row.run.items for row in rows}) == 4


def test_conditions_are_refused() -> None:
    space = Space({"kind": Choice(("a", "b")), "x": Float(0, 1, when={"kind": ("b",)})})
    with pytest.raises(WindtunnelError, match="x matters only beside others"):
        policy("tpe", space=space)


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(WindtunnelError, match="choose from tpe, gp, cma-es, qmc, random"):
        sampler_named("bayes")


def row(number: int, trial: Trial, *, done: bool) -> Row[Trial]:
    return Row(number, trial, "", "finished" if done else "waiting", 2.0 if done else None)


def decided(parallel: int, table: list[Row[Trial]]) -> list[Trial]:
    answer = policy("tpe", parallel=parallel).next(table, Budget(), 0)
    assert not isinstance(answer, Stop)
    return [decision.run for decision in answer]


def test_it_waits_for_the_results_that_a_decision_rests_on_and_for_no_others() -> None:
    """Three may be open: the fourth decision needs the first result, whatever else is known."""
    table: list[Row[Trial]] = []
    for number in range(3):
        (trial,) = decided(3, table)
        table.append(row(number, trial, done=False))
    assert decided(3, table) == []
    first = [row(0, table[0].run, done=True), *table[1:]]
    every = [row(each.number, each.run, done=True) for each in table]
    assert decided(3, first) == decided(3, every) != []


def test_a_diverged_trial_is_infinitely_bad_and_a_failed_one_failed() -> None:
    told: list[tuple[str, list[float] | None]] = []

    class Listening(optuna.samplers.RandomSampler):
        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            told.append((state.name, values))

    asked = OptunaPolicy(SPACE, sampler=lambda seed: Listening(seed), trials=9)
    table: list[Row[Trial]] = []
    ends: list[tuple[State, float | None]] = [
        ("finished", 2.0),
        ("diverged", None),
        ("failed", None),
    ]
    for number, (state, loss) in enumerate(ends):
        answer = asked.next(table, Budget(), 0)
        assert not isinstance(answer, Stop)
        table.append(Row(number, answer[0].run, "", state, loss))
    asked.next(table, Budget(), 0)
    assert told == [("COMPLETE", [2.0]), ("COMPLETE", [math.inf]), ("FAIL", None)]


def test_a_spent_budget_stops_it() -> None:
    spent = policy("tpe").next([], Budget(flops=1.0, flops_used=2.0), 0)
    assert isinstance(spent, Stop) and "FLOPs is spent" in spent.reason

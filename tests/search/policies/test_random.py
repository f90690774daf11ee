from __future__ import annotations

import pytest

from windtunnel.search.drive import Driver
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policies import make_policy
from windtunnel.search.policy import Budget
from windtunnel.search.simulate import simulate
from windtunnel.search.space import Float, Space
from windtunnel.search.trial import Trial

SPACE = Space({"lr": Float(1e-4, 1.0, log=True), "decay": Float(0.0, 1.0)})


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_a_budget_ends_it_at_the_trial_that_spends_it(name: str) -> None:
    policy = make_policy(name, SPACE, trials=64)
    every = simulate(policy, lambda trial, rows: (1.0, 1.0))
    some = simulate(policy, lambda trial, rows: (1.0, 1.0), budget=5.0)
    assert some.reason == "the budget of 5 FLOPs is spent"
    assert [event.row.run for event in some.events] == [e.row.run for e in every.events[:5]]


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_a_search_that_goes_on_under_its_budget_decides_nothing_that_it_did_not(name: str) -> None:
    policy = make_policy(name, SPACE, trials=64)
    ledger: MemoryLedger[Trial] = MemoryLedger()
    for used in (0.0, 0.0, 5.0):
        Driver(ledger, policy, lag=2, seed=0).advance(Budget(flops=5.0, flops_used=used))
        assert len(ledger.list()) == 2

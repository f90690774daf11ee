from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.drive import PHASE_SIZE, Driver
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.store import Store, study_database
from windtunnel.search.table import Row, Table

A_RUN = Run(
    family="gpt",
    family_options=(),
    optimizer="adamw",
    rule="mup",
    base=Scale(32, 2, 1000),
    scale=Scale(32, 2, 1000),
    recipe=Recipe(lr=0.01, batch_units=100),
    data=DataIdentity("abc", 128, 64),
)


def decision(seed: int) -> Decision:
    return Decision(A_RUN.replace(init_seed=seed), f"seed {seed}")


class Sensitive:
    """Proposes something that depends on every result it was ever shown."""

    def __init__(self, runs: int = 25, asynchronous: bool = False) -> None:
        self.asynchronous = asynchronous
        self.most_open = 0
        self._runs = runs

    def next(self, table: Table, budget: Budget, seed: int) -> Answer:
        if len(table) >= self._runs or budget.spent:
            return Stop("enough")
        results = [(row.number, row.loss) for row in table if row.done]
        if len(table) % 7 == 6 and len(results) < len(table) - 1:
            return []  # now and then it waits for nearly everything
        self.most_open = max(self.most_open, len(table) - len(results) + 1)
        return [decision(1 + random.Random(f"{results} {len(table)}").randrange(10**9))]


def simulate(lag: int, order: int, policy: Sensitive, crash_every: int = 0) -> list[Row]:
    ledger, draw = MemoryLedger(), random.Random(order)
    driver = Driver(ledger, policy, lag=lag, seed=0)
    ends = 0
    while driver.advance() is None or ledger.open:
        number = draw.choice(ledger.open)
        ledger.finish(number, ledger.rows[number].run.init_seed % 97 / 10)
        ends += 1
        if crash_every and ends % crash_every == 0:
            driver = Driver(ledger, policy, lag=lag, seed=0)
    return ledger.rows


@settings(max_examples=60, deadline=None)
@given(lag=st.integers(1, 6), order=st.integers(0, 10**6), crash_every=st.integers(0, 5))
def test_the_table_depends_neither_on_the_order_of_ends_nor_on_crashes(
    lag: int, order: int, crash_every: int
) -> None:
    policy = Sensitive()
    assert simulate(lag, order, policy, crash_every) == simulate(lag, 0, Sensitive())
    assert policy.most_open == lag, "as many runs as the lag allows are open at once"


def test_decision_k_sees_only_results_up_to_k_minus_lag() -> None:
    ledger = MemoryLedger()
    driver = Driver(ledger, Sensitive(), lag=3, seed=0)
    driver.advance()
    assert len(ledger.rows) == 3
    for number in (2, 1):
        ledger.finish(number, 1.0)
        driver.advance()
        assert len(ledger.rows) == 3, "decision 3 needs the result of decision 0"
    ledger.finish(0, 1.0)
    driver.advance()
    assert len(ledger.rows) == 6


def test_an_asynchronous_policy_sees_results_as_they_come() -> None:
    ledger = MemoryLedger()

    class OneEach(Sensitive):
        def next(self, table: Table, budget: Budget, seed: int) -> Answer:
            if sum(not row.done for row in table) >= 3:
                return []
            return [decision(len(table))] if len(table) < 6 else Stop("enough")

    driver = Driver(ledger, OneEach(asynchronous=True), lag=3, seed=0)
    assert driver.advance() is None and len(ledger.rows) == 3
    ledger.finish(2, 1.0)
    assert driver.advance() is None and len(ledger.rows) == 4


def test_phases_keep_apart_in_one_store(tmp_path: Path) -> None:
    store = Store(study_database(tmp_path), "study", Run.from_json)
    tune = Driver(store, FixedPolicy([decision(1)]), lag=2, seed=0)
    law = Driver(store, FixedPolicy([decision(2), decision(3)]), lag=2, seed=0, phase=1)
    tune.advance()
    law.advance()
    assert [row.number for row in store.list()] == [0, PHASE_SIZE, PHASE_SIZE + 1]
    assert [(row.number, row.purpose) for row in law.table()] == [(0, "seed 2"), (1, "seed 3")]


def test_a_changed_study_is_noticed_and_nothing_is_written() -> None:
    ledger = MemoryLedger()
    Driver(ledger, FixedPolicy([decision(1)]), lag=1, seed=0).advance()
    with pytest.raises(WindtunnelError, match="its rule's file or windtunnel has changed"):
        Driver(ledger, FixedPolicy([decision(2)]), lag=1, seed=0).advance()
    assert len(ledger.rows) == 1


def test_a_budget_binds_new_decisions_and_not_those_already_made() -> None:
    ledger = MemoryLedger()
    Driver(ledger, Sensitive(), lag=3, seed=0).advance()
    spent = Budget(flops=1.0, flops_used=2.0)
    driver = Driver(ledger, Sensitive(), lag=3, seed=0)
    for number in range(3):
        ledger.finish(number, 1.0)
    assert driver.advance(spent) == Stop("enough")
    assert len(ledger.rows) == 3


def test_a_policy_that_waits_for_nothing_is_a_bug_and_not_a_hang() -> None:
    class Stuck(Sensitive):
        def next(self, table: Table, budget: Budget, seed: int) -> Answer:
            return []

    with pytest.raises(RuntimeError, match="waits although"):
        Driver(MemoryLedger(), Stuck(), lag=1, seed=0).advance()

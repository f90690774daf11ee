from __future__ import annotations

import pytest

from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.conformance import PolicyBroken, assert_policy_conforms
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.table import Table

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
    return Decision(A_RUN.replace(init_seed=seed), "test")


def loss(run: Run) -> float:
    return float(run.init_seed)


class Broken:
    asynchronous = False

    def __init__(self) -> None:
        self.calls = 0


class Impure(Broken):
    def next(self, table: Table, budget: Budget, seed: int) -> Answer:
        self.calls += 1
        return [decision(self.calls)] if len(table) < 5 else Stop("enough")


class Repeating(Broken):
    def next(self, table: Table, budget: Budget, seed: int) -> Answer:
        return [decision(1)] if len(table) < 5 else Stop("enough")


class Endless(Broken):
    def next(self, table: Table, budget: Budget, seed: int) -> Answer:
        return [decision(len(table))]


@pytest.mark.parametrize(
    ("policy", "message"),
    [(Impure, "different answers"), (Repeating, "proposed twice"), (Endless, "no end")],
)
def test_a_broken_promise_is_named(policy: type[Broken], message: str) -> None:
    with pytest.raises(PolicyBroken, match=message):
        assert_policy_conforms(policy, loss, most_runs=50)  # type: ignore[arg-type]


def test_a_fixed_list_keeps_every_promise() -> None:
    decisions = [decision(seed) for seed in range(6)]
    table = assert_policy_conforms(lambda: FixedPolicy(decisions), loss)
    assert [row.loss for row in table] == [0, 1, 2, 3, 4, 5]

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.scale import DataIdentity, Recipe, Run, Scale
from windtunnel.search.brackets import Axis, BracketPolicy, Cell
from windtunnel.search.conformance import assert_policy_conforms
from windtunnel.search.drive import Driver
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policy import Budget, Stop
from windtunnel.search.table import Row

LR = Axis("lr", 2**-9, 2**-5)
WIDTHS = (32, 64, 128)


def template(rule: str, width: int, units: int = 1000) -> Run:
    return Run(
        family="gpt",
        family_options=(),
        optimizer="adamw",
        rule=rule,
        base=Scale(32, 2, 1000),
        scale=Scale(width, 2, units),
        recipe=Recipe(lr=0.01, batch_units=100),
        data=DataIdentity("abc", 128, 64),
    )


def the_ladder(seeds: int = 1) -> list[Cell]:
    cells = []
    for rule, shift in (("mup", 0.0), ("sp", -1.0)):
        warm = None
        for width in WIDTHS:
            name = f"{rule} width={width}"
            cells.append(Cell(name, template(rule, width), warm, shift, seeds))
            warm = name
    return cells


def noise(run: Run, size: float) -> float:
    return size * (int(hashlib.sha256(run.key.encode()).hexdigest()[:8], 16) / 2**31 - 1)


def optimum(run: Run) -> float:
    """In octaves: mup stays put up to a small drift, sp falls by one octave for every doubling."""
    doublings = math.log2(run.scale.width / 32)
    return -6.6 - (0.2 if run.rule == "mup" else 1.0) * doublings


def bowl(run: Run, size: float = 0.0) -> float | None:
    away = math.log2(run.recipe.lr) - optimum(run)
    if away > 2.2:
        return None
    return 3.0 + 0.03 * away**2 + noise(run, size)


def carry_out(policy: BracketPolicy, outcome: Callable[[Run], float | None]) -> tuple[Row, ...]:
    ledger = MemoryLedger()
    driver = Driver(ledger, policy, lag=4, seed=0)
    while driver.advance() is None or ledger.open:
        ledger.finish(ledger.open[0], outcome(ledger.rows[ledger.open[0]].run))
    return tuple(ledger.rows)


def best_rate(rows: tuple[Row, ...]) -> float:
    return min((row.loss, row.run.recipe.lr) for row in rows if row.loss is not None)[1]


def test_every_cell_finds_its_optimum_and_a_warm_one_in_five_or_six_runs() -> None:
    policy = BracketPolicy(the_ladder(), [LR])
    table = carry_out(policy, bowl)
    lines = policy.lines(table)
    assert set(lines) == {cell.name for cell in policy.cells}
    for cell in policy.cells:
        rows = lines[cell.name]
        assert abs(math.log2(best_rate(rows)) - optimum(rows[0].run)) <= 0.5
        assert len(rows) <= (7 if cell.warm is None else 6), cell.name


def test_cheap_cells_come_first_and_a_warm_one_waits_for_its_start() -> None:
    policy = BracketPolicy(reversed_ladder := the_ladder()[::-1], [LR])
    assert policy.cells[0].cost <= policy.cells[-1].cost and len(policy.cells) == 6
    first = policy.next((), Budget(), 0)
    assert not isinstance(first, Stop)
    assert {decision.run.scale.width for decision in first} == {32}
    assert all(decision.purpose.endswith("bracket lr") for decision in first)
    assert reversed_ladder[0].template.scale.width == 128


def test_while_one_cell_waits_another_goes_on() -> None:
    policy = BracketPolicy(the_ladder(), [LR])
    first = policy.next((), Budget(), 0)
    assert not isinstance(first, Stop)
    rows = [Row(n, d.run, d.purpose, "waiting") for n, d in enumerate(first)]
    second = policy.next(rows, Budget(), 0)
    assert not isinstance(second, Stop)
    assert {d.run.rule for d in first} != {d.run.rule for d in second}


def test_the_best_three_rates_are_trained_with_every_seed() -> None:
    policy = BracketPolicy(the_ladder(seeds=3), [LR])
    for rows in policy.lines(carry_out(policy, bowl)).values():
        first = [row for row in rows if row.run.init_seed == 0]
        best = sorted((row.loss, row.run.recipe.lr) for row in first if row.loss is not None)[:3]
        for seed in (1, 2):
            again = [row for row in rows if row.run.init_seed == seed]
            assert {row.run.recipe.lr for row in again} == {lr for _, lr in best}
            assert all(row.run.data_seed == seed for row in again)


def two_axes(run: Run) -> float | None:
    decay = math.log2(run.recipe.weight_decay) + 2.2
    memory = math.log2(1 - run.recipe.beta2) + 5.1
    loss = bowl(run)
    return None if loss is None else loss + 0.02 * decay**2 + 0.02 * memory**2


def test_other_axes_follow_and_the_rate_is_checked_again() -> None:
    axes = [LR, Axis("weight_decay", 2**-6, 2**-3), Axis("beta2", 0.9, 0.99)]
    policy = BracketPolicy(the_ladder(), axes)
    for name, rows in policy.lines(carry_out(policy, two_axes)).items():
        assert abs(math.log2(rows[0].run.recipe.weight_decay) + 2.2) <= 0.25, name
        assert abs(math.log2(1 - rows[0].run.recipe.beta2) + 5.1) <= 0.25, name
        assert len({row.run.recipe.lr for row in rows}) >= 5, name


def test_a_decay_of_zero_starts_at_the_low_end() -> None:
    run = template("mup", 32)
    run = run.replace(recipe=run.recipe.replace(weight_decay=0.0))
    policy = BracketPolicy([Cell("only", run)], [LR, Axis("weight_decay", 2**-6, 2**-3)])
    (first, *_) = carry_out(policy, two_axes)
    assert first.run.recipe.weight_decay == 2**-6


def test_beta2_and_warmup_stay_where_they_mean_something() -> None:
    axes = [LR, Axis("beta2", 0.6, 0.9), Axis("warmup_fraction", 0.1, 0.4)]
    policy = BracketPolicy(the_ladder()[:1], axes)
    table = carry_out(policy, lambda run: run.recipe.beta2 - run.recipe.warmup_fraction)
    assert all(0.5 <= row.run.recipe.beta2 < 1 for row in table)
    assert all(0 < row.run.recipe.warmup_fraction <= 0.5 for row in table)


def test_an_optimum_never_reached_is_said_and_a_dead_cell_does_not_stop_the_others() -> None:
    policy = BracketPolicy(the_ladder(), [LR])
    table = carry_out(policy, lambda run: 1 / run.recipe.lr)
    stop = policy.next(table, Budget(), 0)
    assert isinstance(stop, Stop) and "still at the edge" in stop.reason
    table = carry_out(policy, lambda run: None if run.rule == "sp" else bowl(run))
    stop = policy.next(table, Budget(), 0)
    assert isinstance(stop, Stop) and "sp width=32: every lr tried diverged" in stop.reason
    assert set(policy.lines(table)) == {f"mup width={width}" for width in WIDTHS}


def test_a_failed_run_is_a_wall_and_the_search_goes_on() -> None:
    policy = BracketPolicy(the_ladder()[:1], [LR])
    decided = policy.next((), Budget(), 0)
    assert isinstance(decided, list)

    def table(state: Any) -> list[Row[Run]]:
        return [
            Row(number, d.run, d.purpose, *(("finished", bowl(d.run)) if number else (state,)))
            for number, d in enumerate(decided)
        ]

    answer = policy.next(table("failed"), Budget(), 0)
    assert answer == policy.next(table("diverged"), Budget(), 0)
    assert isinstance(answer, list) and answer


def test_a_spent_budget_stops_the_search() -> None:
    policy = BracketPolicy(the_ladder(), [LR])
    stop = policy.next((), Budget(flops=1.0, flops_used=1.0), 0)
    assert isinstance(stop, Stop) and "budget" in stop.reason


def test_a_cached_policy_answers_as_a_fresh_one_at_every_prefix() -> None:
    cached = BracketPolicy(the_ladder(seeds=2), [LR])
    table = carry_out(cached, bowl)
    for length in range(len(table)):
        fresh = BracketPolicy(the_ladder(seeds=2), [LR])
        assert cached.next(table[:length], Budget(), 0) == fresh.next(table[:length], Budget(), 0)


def test_the_estimate_of_runs_to_come_is_near_and_ends_at_zero() -> None:
    policy = BracketPolicy(the_ladder(seeds=2), [LR])
    table = carry_out(policy, bowl)
    assert sum(policy.expected_runs(table).values()) == 0
    assert sum(policy.expected_runs(()).values()) == pytest.approx(len(table), rel=0.2)


@settings(max_examples=4, deadline=None)
@given(size=st.floats(0, 0.05), seeds=st.integers(1, 3))
def test_it_keeps_every_promise_of_a_policy(size: float, seeds: int) -> None:
    assert_policy_conforms(
        lambda: BracketPolicy(the_ladder(seeds), [LR]), lambda run: bowl(run, size), lags=(4,)
    )


def test_two_axes_keep_every_promise_of_a_policy() -> None:
    axes = [LR, Axis("weight_decay", 2**-6, 2**-3)]
    assert_policy_conforms(
        lambda: BracketPolicy(the_ladder(2), axes), two_axes, lags=(3,), orders=2
    )


def test_a_ladder_that_makes_no_sense_is_refused() -> None:
    cell = the_ladder()[0]
    with pytest.raises(WindtunnelError, match="no cheaper cell"):
        BracketPolicy([Cell("a", cell.template, warm="b")], [LR])
    with pytest.raises(WindtunnelError, match="two cells are named"):
        BracketPolicy([cell, cell], [LR])
    with pytest.raises(WindtunnelError, match="must be lr"):
        BracketPolicy([cell], [Axis("weight_decay", 0.01, 1.0)])

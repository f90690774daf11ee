"""What every policy promises, as one function that any policy's test can call."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Generic

from windtunnel.search.drive import Driver
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policy import Answer, Budget, Policy, Stop
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import P


class PolicyBroken(AssertionError):  # noqa: N818  (pytest shows it as a failed assertion)
    """A policy doesn't keep the contract of `windtunnel.search.policy.Policy`."""


def assert_policy_conforms(
    make_policy: Callable[[], Policy[P]],
    outcome: Callable[[P], float | None],
    *,
    lags: Sequence[int] = (1, 2, 4),
    orders: int = 3,
    most_runs: int = 2000,
    seed: int = 0,
) -> tuple[Row[P], ...]:
    """Run a policy on simulated results and check every promise of the contract.

    Checked: it stops before `most_runs`; it never proposes a run twice; equal tables get equal
    answers, from a fresh policy too (so a cache changes nothing); the driver never shows it more
    than the lag allows; and, unless it is asynchronous, the final table doesn't depend on the
    order in which runs end.

    Args:
        make_policy: Makes a fresh policy.
        outcome: The loss of a run, a pure function; None for a diverged run.
        lags: Parallelisms to try.
        orders: Random orders of completion to try for each lag.
        most_runs: A policy that decides on more doesn't terminate.
        seed: Of the orders, and handed to the policy.

    Returns:
        The final table at the last lag and order.

    Raises:
        PolicyBroken: A promise is broken; the message says which.
    """
    table: tuple[Row[P], ...] = ()
    for lag in lags:
        tables = [
            _simulate(make_policy, outcome, lag, random.Random(f"{seed} {order}"), most_runs, seed)
            for order in range(orders)
        ]
        table = tables[0]
        if not make_policy().asynchronous and any(other != table for other in tables):
            raise PolicyBroken(f"lag {lag}: the table depends on the order in which runs end")
    return table


def _simulate(
    make_policy: Callable[[], Policy[P]],
    outcome: Callable[[P], float | None],
    lag: int,
    draw: random.Random,
    most_runs: int,
    seed: int,
) -> tuple[Row[P], ...]:
    ledger: MemoryLedger[P] = MemoryLedger()
    watched = _Watched(make_policy, lag)
    driver = Driver(ledger, watched, lag=lag, seed=seed)
    while driver.advance() is None or ledger.open:
        if len(ledger.rows) > most_runs:
            raise PolicyBroken(f"lag {lag}: no end after {most_runs} runs")
        if not ledger.open:
            raise PolicyBroken(f"lag {lag}: stuck with nothing to train")
        number = draw.choice(ledger.open)
        ledger.finish(number, outcome(ledger.rows[number].run))
    if len({row.run.key for row in ledger.rows}) < len(ledger.rows):
        raise PolicyBroken(f"lag {lag}: a run was proposed twice")
    again = Driver(ledger, make_policy(), lag=lag, seed=seed)
    if not watched.asynchronous and again.advance() is None:
        raise PolicyBroken(f"lag {lag}: a replay of the finished table doesn't stop")
    return tuple(ledger.rows)


class _Watched(Generic[P]):
    """Passes questions on to a policy and checks the answers."""

    def __init__(self, make_policy: Callable[[], Policy[P]], lag: int) -> None:
        self._make_policy = make_policy
        self._policy = make_policy()
        self._lag = lag

    @property
    def asynchronous(self) -> bool:
        return self._policy.asynchronous

    def next(self, table: Table[P], budget: Budget, seed: int) -> Answer[P]:
        if not self.asynchronous:
            shown = sum(row.done for row in table)
            if any(not row.done for row in table[:shown]):
                raise PolicyBroken("results were shown out of order")
        answer = self._policy.next(table, budget, seed)
        for other in (self._policy, self._make_policy()):
            if other.next(tuple(table), budget, seed) != answer:
                raise PolicyBroken("equal tables got different answers")
        if not isinstance(answer, Stop):
            proposed = [decision.run for decision in answer]
            known = {row.run for row in table}
            if len(set(proposed)) < len(proposed) or known & set(proposed):
                raise PolicyBroken("a run was proposed twice")
        return answer

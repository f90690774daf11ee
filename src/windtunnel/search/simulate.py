"""Run a policy on an objective whose results and costs are known, in simulated time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias

from windtunnel.search.drive import Driver
from windtunnel.search.ledger import MemoryLedger
from windtunnel.search.policy import Budget, Policy, Stop
from windtunnel.search.table import Row
from windtunnel.search.trial import P

# The loss of a proposal (None: it diverged) and what it costs; the rows before it are there for
# those that continue one of them.
Objective: TypeAlias = Callable[[P, Sequence[Row[P]]], tuple[float | None, float]]


@dataclass(frozen=True, slots=True)
class Event(Generic[P]):
    """One simulated trial.

    Attributes:
        row: The decision with its result.
        begin: When it began, in units of cost.
        end: When it ended.
        spent: What all trials that ended so far had cost together, this one included.
    """

    row: Row[P]
    begin: float
    end: float
    spent: float


@dataclass(frozen=True, slots=True)
class Simulation(Generic[P]):
    """What came of it: trials in the order of their ends, and why the policy stopped."""

    events: tuple[Event[P], ...]
    reason: str


def simulate(
    policy: Policy[P],
    objective: Objective[P],
    *,
    workers: int = 1,
    budget: float | None = None,
    seed: int = 0,
) -> Simulation[P]:
    """Let simulated workers carry a policy's decisions out.

    Time passes only as trials cost it, so a search of days takes what its policy takes to decide.

    Args:
        policy: Who decides.
        objective: What would come of a trial, and its cost; for a trial that continues another
            the cost of the rest alone.
        workers: How many trials run at a time; also the declared parallelism.
        budget: Stop deciding once so much cost has been spent.
        seed: Handed to the policy.
    """
    ledger: MemoryLedger[P] = MemoryLedger()
    driver = Driver(ledger, policy, lag=workers, seed=seed)
    running: list[tuple[float, int, float, float | None, float]] = []  # end, number, begin, ...
    events: list[Event[P]] = []
    now = spent = 0.0
    begun, stop = 0, None
    while True:
        stop = driver.advance(Budget(flops=budget, flops_used=spent))
        while begun < len(ledger.rows) and len(running) < workers:
            loss, cost = objective(ledger.rows[begun].run, ledger.rows)
            heapq.heappush(running, (now + cost, begun, now, loss, cost))
            begun += 1
        if not running:
            break
        now, number, begin, loss, cost = heapq.heappop(running)
        spent += cost
        events.append(Event(ledger.finish(number, loss), begin, now, spent))
    return Simulation(tuple(events), stop.reason if isinstance(stop, Stop) else "it waits for ever")

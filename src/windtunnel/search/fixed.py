"""A policy whose decisions are all known beforehand: the law's runs, the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.table import Table
from windtunnel.search.trial import P


class FixedPolicy(Generic[P]):
    """Train the given runs, in the given order, and stop."""

    asynchronous = False

    def __init__(self, decisions: Sequence[Decision[P]]) -> None:
        self._decisions = list(decisions)

    def next(self, table: Table[P], budget: Budget, seed: int) -> Answer[P]:
        """All that isn't in the table yet."""
        if len(table) >= len(self._decisions):
            return Stop("every run of the list is decided")
        if budget.spent:
            return Stop(budget.spent)
        return self._decisions[len(table) :]

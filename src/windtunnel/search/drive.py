"""Carries a policy's decisions into the store so that speed and crashes can't change them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Generic, Protocol

from windtunnel.errors import WindtunnelError
from windtunnel.search.policy import Answer, Budget, Decision, Policy, Stop
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import P

PHASE_SIZE = 100_000


class Ledger(Protocol[P]):
    """The part of `Store` that deciding needs."""

    def create(self, number: int, run: P, purpose: str) -> bool:
        """Add a waiting run, once."""
        ...

    def list(self) -> Sequence[Row[P]]:
        """Every run by number."""
        ...


class Driver(Generic[P]):
    """Asks a policy for decisions and writes them down under increasing numbers.

    Decision k is made from the results of decisions up to k - lag at most. When the policy has
    nothing to decide from these, one more result is shown, in the order of the decisions and not
    of their ends. So the decisions are a function of the results alone, on any number of workers;
    after a crash they are made again from the start and found to be those in the store.

    Args:
        store: Where decisions are written and results appear.
        policy: Who decides.
        lag: The study's declared parallelism: so many runs may be open at once.
        seed: Handed to the policy.
        phase: Which part of the study this is: every phase has a range of numbers of its own, and
            the runs of lower phases are carried out first.
    """

    def __init__(
        self, store: Ledger[P], policy: Policy[P], *, lag: int, seed: int, phase: int = 0
    ) -> None:
        self._store = store
        self._policy = policy
        self._lag = lag
        self._seed = seed
        self._first = phase * PHASE_SIZE
        self._decisions: list[Decision[P]] = []
        self._shown = 0
        self._stop: Stop | None = None

    @property
    def store(self) -> Ledger[P]:
        """Where decisions are written."""
        return self._store

    @property
    def first(self) -> int:
        """The number in the store of this phase's decision 0."""
        return self._first

    def advance(self, budget: Budget | None = None) -> Stop | None:
        """Make every decision that the results so far allow.

        Args:
            budget: What may still be spent; it binds new decisions, never those already stored.

        Returns:
            None while there is more to come, else why the policy stopped. Runs may still be open
            then; `table` tells.

        Raises:
            WindtunnelError: The store holds other decisions than the policy makes, so the study
                was begun with other settings.
        """
        rows = list(self.table())
        if self._policy.asynchronous:
            return self._advance_freely(rows, budget or Budget())
        stored = len(rows)
        while self._stop is None:
            made = len(self._decisions)
            shown = max(self._shown, made - self._lag + 1)
            if any(not row.done for row in rows[:shown]):
                return None
            self._shown = shown
            allowed = budget or Budget()
            if made < stored:
                allowed = allowed.unspent
            answer = self._ask(rows[:shown] + [_unseen(row) for row in rows[shown:made]], allowed)
            if isinstance(answer, Stop):
                self._stop = answer
            elif answer:
                self._write(answer, rows)
            elif shown < made:
                self._shown += 1
            else:
                raise RuntimeError("the policy waits although every result is known to it")
        return self._stop

    def table(self) -> tuple[Row[P], ...]:
        """Every decision of this phase, numbered from 0."""
        return tuple(
            dataclasses.replace(row, number=row.number - self._first)
            for row in self._store.list()
            if self._first <= row.number < self._first + PHASE_SIZE
        )

    def _advance_freely(self, rows: list[Row[P]], budget: Budget) -> Stop | None:
        while self._stop is None:
            answer = self._ask(rows, budget)
            if isinstance(answer, Stop):
                self._stop = answer
            elif answer:
                self._decisions = [Decision(row.run, row.purpose) for row in rows]
                self._write(answer, rows)
            else:
                return None
        return self._stop

    def _ask(self, table: Table[P], budget: Budget) -> Answer[P]:
        return self._policy.next(table, budget, self._seed)

    def _write(self, decisions: Sequence[Decision[P]], rows: list[Row[P]]) -> None:
        for decision in decisions:
            number = len(self._decisions)
            if number >= len(rows):
                self._store.create(self._first + number, decision.run, decision.purpose)
                rows.append(Row(number, decision.run, decision.purpose, "waiting"))
            elif rows[number].run != decision.run:
                raise WindtunnelError(
                    f"run {self._first + number} in the store isn't the one this study decides on "
                    f"now ({decision.purpose}). The study file, its rule's file or windtunnel has "
                    "changed since it was begun: change it back, or start in a new folder."
                )
            self._decisions.append(decision)


def _unseen(row: Row[P]) -> Row[P]:
    return Row(row.number, row.run, row.purpose, "waiting")

"""Decisions and results in memory: what a store is to simulations, tests and plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from windtunnel.search.table import Row, State
from windtunnel.search.trial import P


@dataclass
class MemoryLedger(Generic[P]):
    """The rows of a search, numbered from 0 without gaps."""

    rows: list[Row[P]] = field(default_factory=list)

    @property
    def open(self) -> Sequence[int]:
        """The numbers of the rows without a result."""
        return [row.number for row in self.rows if not row.done]

    def create(self, number: int, run: P, purpose: str) -> bool:
        """Add a waiting row."""
        if number != len(self.rows):
            raise ValueError(f"decision {number} follows {len(self.rows) - 1}")
        self.rows.append(Row(number, run, purpose, "waiting"))
        return True

    def finish(self, number: int, loss: float | None) -> Row[P]:
        """End a row; None means that it diverged."""
        state: State = "diverged" if loss is None else "finished"
        self.rows[number] = replace(self.rows[number], state=state, loss=loss)
        return self.rows[number]

    def list(self) -> Sequence[Row[P]]:
        """Every row by number."""
        return tuple(self.rows)

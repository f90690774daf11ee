"""What a policy sees: one row a decision, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias

from windtunnel.search.trial import P

State: TypeAlias = Literal["waiting", "running", "finished", "diverged", "failed"]
DONE: frozenset[State] = frozenset({"finished", "diverged", "failed"})


@dataclass(frozen=True, slots=True)
class Row(Generic[P]):
    """One decision and what is known of its run.

    Attributes:
        number: The decision's number, counted from 0 within its phase of the study.
        run: What is trained or tried.
        purpose: Why, in words for people.
        state: `diverged` is a result like any other; `failed` means that training raised an error
            again and again, and only a person can help.
        loss: The metric to minimise at the end of the run; None unless the state is `finished`.
        loss_se: Its standard error over the validation set.
        error: What went wrong, when the state is `failed`.
    """

    number: int
    run: P
    purpose: str
    state: State
    loss: float | None = None
    loss_se: float | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to this run."""
        return self.state in DONE


Table: TypeAlias = Sequence[Row[P]]

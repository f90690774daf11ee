"""The contract between a search policy and the driver that carries its decisions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias

from windtunnel.search.table import Table
from windtunnel.search.trial import P


@dataclass(frozen=True, slots=True)
class Decision(Generic[P]):
    """Train this run, or try this trial, for this purpose (a few words for people)."""

    run: P
    purpose: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more to decide; `reason` is a sentence for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent and what has been; a missing limit is no limit.

    Attributes:
        flops: Limit in floating-point operations.
        seconds: Limit in seconds of wall clock.
        flops_used: Spent so far.
        seconds_used: Spent so far.
    """

    flops: float | None = None
    seconds: float | None = None
    flops_used: float = 0.0
    seconds_used: float = 0.0

    @property
    def limited(self) -> bool:
        """Whether there is a limit: then it has to be asked before each decision."""
        return self.flops is not None or self.seconds is not None

    @property
    def unspent(self) -> Budget:
        """The same limits with nothing spent."""
        return Budget(self.flops, self.seconds)

    @property
    def spent(self) -> str | None:
        """A sentence naming the limit that is reached, or None."""
        if self.flops is not None and self.flops_used >= self.flops:
            return f"the budget of {self.flops:.3g} FLOPs is spent"
        if self.seconds is not None and self.seconds_used >= self.seconds:
            return f"the budget of {self.seconds:.0f} seconds is spent"
        return None


Answer: TypeAlias = list[Decision[P]] | Stop


class Policy(Protocol[P]):
    """Decides what to train next; `windtunnel.search.conformance` tests any implementation.

    Attributes:
        asynchronous: False: results are shown in the order of the decisions, so a study gives the
            same table whatever finishes first. True: results are shown as they come, and only
            "nothing lost, repeated or stuck" is promised.
    """

    @property
    def asynchronous(self) -> bool:
        """Whether the policy asks to see results as they come."""
        ...

    def next(self, table: Table[P], budget: Budget, seed: int) -> Answer[P]:
        """Decide from the table alone; equal arguments give equal answers.

        Args:
            table: Every decision so far, by number; those without a result are to come.
            budget: What may still be spent.
            seed: Seed of whatever the policy draws at random.

        Returns:
            New decisions, an empty list to wait for more results, or `Stop`.
        """
        ...

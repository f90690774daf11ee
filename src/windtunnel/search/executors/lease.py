"""Keeps a claim alive while its run makes progress, and lets nothing be written once it is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from windtunnel.scale import Run
from windtunnel.search.store import Claim, Store

REPORT_SECONDS = 1.0


class LeaseGuard:
    """Stands between one claimed run and its trainer.

    A worker knows by its own clock until when its lease lasts at least, so the usual check costs
    no look into the store. Past that moment it asks the store before it goes on.

    Args:
        store: Where the claim was made.
        claim: What is held.
        claimed_at: A moment not after the claim, by `clock`.
        stop_requested: Whether this worker was asked to stop.
        clock: Seconds since the epoch; it goes on while a process is stopped or a laptop sleeps.
    """

    def __init__(
        self,
        store: Store[Run],
        claim: Claim[Run],
        claimed_at: float,
        stop_requested: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._claim = claim
        self._stop_requested = stop_requested
        self._clock = clock
        self._ends = claimed_at + claim.lease_seconds
        self._reported = claimed_at

    @property
    def expired(self) -> bool:
        """Whether the lease may have been given to somebody else."""
        return self._clock() >= self._ends

    def should_stop(self) -> bool:
        """What the trainer asks at every step, before it writes anything.

        Raises:
            LeaseLost: The run is another worker's now; it is raised through the trainer, because
                one that is merely told to stop would write a checkpoint.
        """
        if self.expired:
            now = self._clock()
            self._store.renew(self._claim)
            self._ends = now + self._claim.lease_seconds
        return self._stop_requested()

    def on_progress(self, step: int, steps: int, loss: float) -> None:
        """What the trainer calls at every step; reported, and the lease extended, once a second.

        Raises:
            LeaseLost: The run is another worker's now.
        """
        now = self._clock()
        if now - self._reported < REPORT_SECONDS and now < self._ends:
            return
        self._store.report(self._claim, step, steps, loss if loss == loss else None)
        self._reported = now
        self._ends = now + self._claim.lease_seconds

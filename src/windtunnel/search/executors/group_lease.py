"""Keeps the claims of runs that are trained at once; each may be lost alone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

from windtunnel.scale import Run
from windtunnel.search.claimed_together import renew_all, report_all
from windtunnel.search.executors.lease import REPORT_SECONDS
from windtunnel.search.store import Claim, LeaseLost, Store

_log = logging.getLogger("windtunnel.worker")


class GroupGuard:
    """Stands between claimed runs and what trains them at once, as `LeaseGuard` does for one.

    Args:
        store: Where the claims were made.
        claims: What is held, all for the same time.
        claimed_at: A moment not after the first claim, by `clock`.
        stop_requested: Whether this worker was asked to stop.
        clock: As for `LeaseGuard`.
    """

    def __init__(
        self,
        store: Store[Run],
        claims: Sequence[Claim[Run]],
        claimed_at: float,
        stop_requested: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._held = {claim.run.key: claim for claim in claims}
        self._stop_requested = stop_requested
        self._clock = clock
        self._lease_seconds = claims[0].lease_seconds
        self._ends = claimed_at + self._lease_seconds
        self._reported = claimed_at

    @property
    def expired(self) -> bool:
        """Whether a lease may have been given to somebody else."""
        return self._clock() >= self._ends

    @property
    def held(self) -> tuple[Claim[Run], ...]:
        """The claims that weren't seen to be lost."""
        return tuple(self._held.values())

    def holds(self, run: Run) -> bool:
        """Whether anything may still be written for a run; true after `should_stop` has said so."""
        return run.key in self._held

    def should_stop(self) -> bool:
        """What the trainer asks at every step, before it writes anything.

        Raises:
            LeaseLost: Every run is another worker's now.
        """
        if self.expired:
            now = self._clock()
            self._drop(renew_all(self._store, self.held))
            self._ends = now + self._lease_seconds
        return self._stop_requested()

    def on_progress(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        """What the trainer calls at every step; reported, and leases extended, once a second.

        Args:
            step: Steps done, of each run.
            steps: Steps in all.
            losses: The last ones by the run's key; runs that diverged may be missing.

        Raises:
            LeaseLost: Every run is another worker's now.
        """
        now = self._clock()
        if now - self._reported < REPORT_SECONDS and now < self._ends:
            return
        known = {key: loss for key, loss in losses.items() if math.isfinite(loss)}
        self._drop(report_all(self._store, self.held, step, steps, known))
        self._reported = now
        self._ends = now + self._lease_seconds

    def _drop(self, lost: Sequence[Claim[Run]]) -> None:
        for claim in lost:
            _log.warning("run %d: its lease ended; nothing more is written for it", claim.number)
            del self._held[claim.run.key]
        if not self._held:
            raise LeaseLost(f"all of {len(lost)} runs are others' now")

"""Which steps are skipped: those whose gradients are not finite, or far larger than before."""

from __future__ import annotations

import math
import statistics
from collections import deque

from windtunnel.scale import Skip

REMEMBERED = 100  # gradient norms whose median is what is usual
KNOWN = 20  # of them before anything is called a spike


class Skipping:
    """Says of each step whether it shall be skipped, and keeps the record.

    Args:
        policy: The run's; None skips nothing.
        skipped: Steps skipped before this process went on with the run, with the reasons.
        norms: Norms remembered from there.

    Attributes:
        skipped: All steps skipped so far, with the reasons.
    """

    def __init__(
        self,
        policy: Skip | None,
        skipped: tuple[tuple[int, str], ...] = (),
        norms: tuple[float, ...] = (),
    ) -> None:
        self._policy = policy
        self.skipped = list(skipped)
        self._norms = deque(norms, maxlen=REMEMBERED)

    @property
    def norms(self) -> tuple[float, ...]:
        """What has to be remembered with a checkpoint."""
        return tuple(self._norms)

    @property
    def watches(self) -> bool:
        """Whether steps may be skipped at all, so that their norms have to be read at once."""
        return self._policy is not None

    @property
    def exhausted(self) -> bool:
        """Whether more steps had to be skipped than the policy allows."""
        return self._policy is not None and len(self.skipped) > self._policy.limit

    def reason(self, step: int, loss: float, norm: float) -> str | None:
        """Why this step is skipped, from then on in the record; None if it isn't.

        Args:
            step: From 0.
            loss: The batch's.
            norm: Of the gradient before clipping.
        """
        policy = self._policy
        if policy is None:
            return None
        found = None
        if not math.isfinite(loss):
            found = "the loss is not finite"
        elif not math.isfinite(norm):
            found = "the gradient is not finite"
        elif policy.spike is not None and len(self._norms) >= KNOWN:
            usual = statistics.median(self._norms)
            if norm > policy.spike * usual:
                found = f"the gradient norm, {norm:.3g}, is {norm / usual:.1f} times the usual one"
        if found is None:
            self._norms.append(norm)
        else:
            self.skipped.append((step, found))
        return found

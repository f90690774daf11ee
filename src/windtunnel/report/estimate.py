"""How long a step still takes, from the work done since it started."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Estimate:
    """Time left at the average pace so far; work done before the start doesn't count as pace.

    Attributes:
        total: All of the step's work, in any unit that is proportional to time (FLOPs, seconds).
        completed: Work done, including what an earlier process did.
        started: Clock reading in seconds when the step began here.
    """

    total: float
    completed: float
    started: float
    _before: float = field(init=False)
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        """Remember where the pace is measured from."""
        self._before = self.completed
        self._last = self.started

    def advance(self, completed: float, total: float, now: float) -> None:
        """Take note that so much of the work is done at clock reading `now`."""
        if completed != self.completed:
            self._last = now
        self.completed, self.total = completed, total

    def elapsed(self, now: float) -> float:
        """Seconds since the step began here."""
        return now - self.started

    def remaining(self, now: float) -> float | None:
        """Seconds left, or None before any work is done; counts down between two updates."""
        if self.completed >= self.total:
            return 0.0
        done, took = self.completed - self._before, self._last - self.started
        if done <= 0 or took <= 0:
            return None
        return max(0.0, took * (self.total - self.completed) / done - (now - self._last))

    @property
    def share(self) -> float:
        """Work done over all work, between 0 and 1."""
        return 1.0 if self.total <= 0 else min(1.0, max(0.0, self.completed / self.total))

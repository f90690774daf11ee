"""Where a run's warm-up ends and its decay begins, in whole steps."""

from __future__ import annotations

from dataclasses import dataclass

from windtunnel.errors import WindtunnelError


@dataclass(frozen=True, slots=True)
class Phases:
    """A run cut into warm-up, the steps at the full rate, and decay.

    Attributes:
        steps: Steps in the whole run, at least 1.
        warmup: Steps that warm up, from the first on.
        decay: Steps that decay, up to the last; `warmup + decay <= steps`.
    """

    steps: int
    warmup: int
    decay: int

    @property
    def decay_start(self) -> int:
        """The first step that decays; `steps` where none does."""
        return self.steps - self.decay

    def warming(self, step: int) -> float:
        """Linear warm-up: `(step + 1) / warmup`, so never 0, and 1 from its last step on.

        >>> phases = Phases(steps=10, warmup=4, decay=0)
        >>> [phases.warming(step) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        """
        return min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0


def cut_into_phases(steps: int, warmup_fraction: float, decay_fraction: float) -> Phases:
    """Round both fractions to whole steps; where rounding makes them overlap, decay gives way.

    >>> cut_into_phases(100, 0.1, 0.3)
    Phases(steps=100, warmup=10, decay=30)
    >>> cut_into_phases(3, 0.5, 0.5)
    Phases(steps=3, warmup=2, decay=1)

    Raises:
        WindtunnelError: There are no steps, a fraction lies outside 0 to 1, or their sum exceeds 1.
    """
    if steps < 1:
        raise WindtunnelError(f"schedule: a run of {steps} steps; it needs at least one.")
    for name, fraction in (("warmup", warmup_fraction), ("decay", decay_fraction)):
        if not 0 <= fraction <= 1:
            raise WindtunnelError(f"recipe.{name}: {fraction:g} is no share of the run (0 to 1).")
    if warmup_fraction + decay_fraction > 1:
        raise WindtunnelError(
            f"recipe.warmup and recipe.decay: {warmup_fraction:g} + {decay_fraction:g} is more "
            "than the whole run; lower one of them."
        )
    warmup = round(warmup_fraction * steps)
    return Phases(steps, warmup, decay=min(round(decay_fraction * steps), steps - warmup))


def checked_share(name: str, share: float) -> float:
    """A setting that is a share of the peak rate.

    Raises:
        WindtunnelError: It lies outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise WindtunnelError(
            f"recipe.schedule_settings.{name}: {share:g} is no share of the peak (0 to 1)."
        )
    return share

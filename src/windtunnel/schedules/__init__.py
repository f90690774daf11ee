"""Learning-rate schedules: pure functions from a step to a multiplier of the peak rate.

One convention holds for all. Steps run from 0 to `steps - 1`. The warm-up is linear, is never 0 and
reaches 1 on its own last step. The decay starts at 1 on its first step and would reach 0 one step
after the run's last, so that every step moves the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.cosine import cosine
from windtunnel.schedules.linear import linear
from windtunnel.schedules.wsd import warmup_stable_decay


class Schedule(Protocol):
    """Multiplier of the peak rate at one step, above 0 and at most 1."""

    def __call__(
        self, step: int, steps: int, /, *, warmup_fraction: float, decay_fraction: float
    ) -> float:
        """Evaluate at `step`, which lies in 0 to `steps - 1`."""
        ...


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"wsd": warmup_stable_decay, "cosine": cosine, "linear": linear}
)


def schedule_multiplier(
    name: str, step: int, steps: int, *, warmup_fraction: float, decay_fraction: float
) -> float:
    """Multiplier of the peak rate at one step of a named schedule.

    Args:
        name: A key of `SCHEDULES`.
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up, rounded to whole steps.
        decay_fraction: Share of the steps that decay, rounded likewise; only `wsd` reads it, the
            others decay from the warm-up's end.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The name is unknown, the step lies outside the run, or the fractions are
            no shares of one run.

    >>> schedule_multiplier("wsd", 99, 100, warmup_fraction=0.1, decay_fraction=0.25)
    0.04
    """
    schedule = SCHEDULES.get(name)
    if schedule is None:
        raise WindtunnelError(f"recipe.schedule: no '{name}'; choose from {', '.join(SCHEDULES)}.")
    if not 0 <= step < steps:
        raise WindtunnelError(f"schedule: step {step} is outside a run of {steps} steps.")
    return schedule(step, steps, warmup_fraction=warmup_fraction, decay_fraction=decay_fraction)

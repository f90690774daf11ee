"""Half a cosine wave over all that follows the warm-up."""

from __future__ import annotations

import math

from windtunnel.schedules.phases import cut_into_phases


def cosine(step: int, steps: int, *, warmup_fraction: float, decay_fraction: float) -> float:
    """Multiplier of the peak rate: linear warm-up, then half a cosine wave to 0.

    After the warm-up it is `(1 + cos(pi * r)) / 2` with `r = (step - warmup_steps) / (steps -
    warmup_steps)`: 1 on the first step of the decay, 0 one step after the run's last (Loshchilov
    and Hutter 2017, arXiv 1608.03983, without restarts).

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Not used: the decay fills the rest of the run.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The warm-up is no share of the run.

    >>> [round(cosine(step, 6, warmup_fraction=1 / 3, decay_fraction=0), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction=0)
    if step < phases.warmup:
        return phases.warming(step)
    through = (step - phases.warmup) / (phases.steps - phases.warmup)
    # The square keeps its precision near the end, where 1 + cos cancels.
    return math.cos(math.pi * through / 2) ** 2

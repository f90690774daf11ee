"""The inverse square root of the step, the same whatever the run's length."""

from __future__ import annotations

import math

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.phases import cut_into_phases


def inverse_sqrt(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    flat_steps: int = 0,
) -> float:
    """Multiplier of the peak rate: linear warm-up, then `sqrt(w / s)` at the s-th step.

    `w` is the number of warm-up steps, so that the curve starts at 1 where the warm-up ends: the
    rate of Vaswani et al. 2017 (arXiv 1706.03762, section 5.3), `s * w^-1.5` and then `s^-0.5`,
    over its greatest value. With `flat_steps` it is instead 1 up to that step, as in T5 (Raffel et
    al. 2020, arXiv 1910.10683: `1 / sqrt(max(s, 10000))`), whatever the warm-up is.

    Args:
        step: 0 to `steps - 1`; `s = step + 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up. It is a share of the run as everywhere
            here, so in runs of several lengths give `flat_steps` to have one and the same curve.
        decay_fraction: Not used: the curve has no last part.
        flat_steps: Number of the step from which the rate falls; 0 for the warm-up's last.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The warm-up is no share of the run, or `flat_steps` is negative.

    >>> [round(inverse_sqrt(step, 8, warmup_fraction=0.25, decay_fraction=0), 3)
    ...  for step in range(8)]
    [0.5, 1.0, 0.816, 0.707, 0.632, 0.577, 0.535, 0.5]
    """
    if flat_steps < 0:
        raise WindtunnelError(
            f"recipe.schedule_settings.flat_steps: {flat_steps} is no number of steps."
        )
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction=0)
    start = max(flat_steps or phases.warmup, 1)
    return phases.warming(step) * min(1.0, math.sqrt(start / (step + 1)))

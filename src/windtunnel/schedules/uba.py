"""The unified budget-aware schedule: one number between constant and cosine."""

from __future__ import annotations

import math

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.phases import checked_share, cut_into_phases


def unified_budget_aware(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    phi: float,
    final: float = 0.0,
) -> float:
    """Multiplier of the peak rate: linear warm-up, then `2 (1+c) / (2 phi + (2-phi) (1+c))`.

    `c = cos(pi * r)` and `r` runs from 0 on the first step after the warm-up to 1 one step after
    the run's last. With `phi = 2` it is the cosine, with `phi` near 0 constant until it drops; half
    way down it is `2 / (2 + phi)`. It is evaluated as `1 / (1 + phi / 2 * tan(pi r / 2)^2)`, the
    same without 0 / 0. Source: Tang et al. 2025, "Stepsize anything" (arXiv 2505.24452); the closed
    form is from an independent implementation and was not checked against the paper, whose several
    cycles are left out for the same reason.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Not used: the decay fills the rest of the run.
        phi: Above 0. The paper ties it to the condition number: the harder the problem, the
            larger, and the earlier the decay. It has no default, for we know of no verified one.
        final: Where the curve ends, as a share of the peak.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The warm-up is no share of the run, or a setting is out of range.

    >>> [round(unified_budget_aware(step, 4, warmup_fraction=0, decay_fraction=0, phi=0.5), 3)
    ...  for step in range(4)]
    [1.0, 0.959, 0.8, 0.407]
    """
    if not phi > 0:
        raise WindtunnelError(
            f"recipe.schedule_settings.phi: {phi:g} is not above 0 (2 is the cosine)."
        )
    final = checked_share("final", final)
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction=0)
    if step < phases.warmup:
        return phases.warming(step)
    through = (step - phases.warmup) / (phases.steps - phases.warmup)
    height = 1 / (1 + phi / 2 * math.tan(math.pi * through / 2) ** 2)
    return final + (1 - final) * height

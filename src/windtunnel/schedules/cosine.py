"""Half a cosine wave over all that follows the warm-up."""

from __future__ import annotations

import math

from windtunnel.schedules.phases import checked_share, cut_into_phases


def cosine(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    final: float = 0.0,
) -> float:
    """Multiplier of the peak rate: linear warm-up, then half a cosine wave to the final share.

    After the warm-up it is `z + (1 - z) * (1 + cos(pi * r)) / 2` with the final share `z` and `r =
    (step - warmup_steps) / (steps - warmup_steps)`: 1 on the first step of the decay, `z` one step
    after the run's last (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts).

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Not used: the decay fills the rest of the run.
        final: Where the wave ends, as a share of the peak; 0.1 is what Hoffmann et al. 2022
            (arXiv 2203.15556) and many after them use.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The warm-up is no share of the run, or `final` none of the peak.

    >>> [round(cosine(step, 6, warmup_fraction=1 / 3, decay_fraction=0), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    final = checked_share("final", final)
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction=0)
    if step < phases.warmup:
        return phases.warming(step)
    through = (step - phases.warmup) / (phases.steps - phases.warmup)
    # The square keeps its precision near the end, where 1 + cos cancels.
    return final + (1 - final) * math.cos(math.pi * through / 2) ** 2

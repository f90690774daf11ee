"""Linear decay over all that follows the warm-up."""

from __future__ import annotations

from windtunnel.schedules.phases import checked_share, cut_into_phases


def linear(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    final: float = 0.0,
) -> float:
    """Multiplier of the peak rate: linear warm-up, then a straight line to the final share.

    Without warm-up and with `final` 0 this is `1 - step / steps`, the worst-case optimal shape for
    the last iterate of SGD (Defazio et al. 2023, arXiv 2310.07831).

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Not used: the decay fills the rest of the run.
        final: Where the line would be one step after the run's last, as a share of the peak.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The warm-up is no share of the run, or `final` none of the peak.

    >>> [linear(step, 4, warmup_fraction=0, decay_fraction=0) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    final = checked_share("final", final)
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction=0)
    if step < phases.warmup:
        return phases.warming(step)
    return final + (1 - final) * ((phases.steps - step) / (phases.steps - phases.warmup))

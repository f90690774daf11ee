"""The full rate from the warm-up's end to the last step."""

from __future__ import annotations

from windtunnel.schedules.phases import cut_into_phases


def constant(step: int, steps: int, *, warmup_fraction: float, decay_fraction: float) -> float:
    """Multiplier of the peak rate: linear warm-up, then 1.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Not used: nothing decays.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The warm-up is no share of the run.

    >>> [constant(step, 4, warmup_fraction=0.5, decay_fraction=0) for step in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    """
    return cut_into_phases(steps, warmup_fraction, decay_fraction=0).warming(step)

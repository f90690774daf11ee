"""Warmup-stable-decay: up, along, and straight down over the last part of the run."""

from __future__ import annotations

from windtunnel.schedules.phases import cut_into_phases


def warmup_stable_decay(
    step: int, steps: int, *, warmup_fraction: float, decay_fraction: float
) -> float:
    """Multiplier of the peak rate under warmup-stable-decay with a linear decay.

    The line of the decay starts at 1 on its first step and would meet 0 one step after the run's
    last, which therefore still moves the weights, at `1 / decay_steps`. The form is that of
    Hagele et al. 2024 (arXiv 2405.18392) with final rate 0: `f(r) = 1 - r` with
    `r = (step - decay_start) / decay_steps`.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Share of the steps that decay.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The fractions are no shares of one run.

    >>> [warmup_stable_decay(step, 8, warmup_fraction=0.25, decay_fraction=0.5)
    ...  for step in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction)
    if step < phases.steps - phases.decay:
        return phases.warming(step)
    return (phases.steps - step) / phases.decay

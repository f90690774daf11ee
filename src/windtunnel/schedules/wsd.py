"""Warmup-stable-decay: up, along, and down over the last part of the run."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.decay_shapes import decayed
from windtunnel.schedules.phases import cut_into_phases

HALF_LIFE = "half-life"


def warmup_stable_decay(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    shape: str = "linear",
    final: float = 0.0,
    half_life: float = 5000.0,
) -> float:
    """Multiplier of the peak rate: linear warm-up, then 1, then a decay to the final share.

    The decay starts at 1 on its first step and would meet `final` one step after the run's last,
    which therefore still moves the weights. The form is that of Hagele et al. 2024 (arXiv
    2405.18392), `f(r)` with `r = (step - decay_start) / decay_steps`; `decayed` has the shapes.
    The shape `half-life` is MiniCPM's (Hu et al. 2024, arXiv 2404.06395): halved every so many
    steps, however long the decay is.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Share of the steps that decay.
        shape: One of `decay_shapes.SHAPES`, or `half-life`.
        final: Where the decay ends, as a share of the peak; `half-life` doesn't use it.
        half_life: Steps that halve the rate in the shape `half-life`, which alone uses it; 5000
            (20 billion tokens there) is recalled from MiniCPM, section 4.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The fractions are no shares of one run, or a setting is out of range.

    >>> [warmup_stable_decay(step, 8, warmup_fraction=0.25, decay_fraction=0.5)
    ...  for step in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction)
    if not half_life > 0:
        raise WindtunnelError(
            f"recipe.schedule_settings.half_life: {half_life:g} is no number of steps above 0."
        )
    left = min(1.0, (phases.steps - step) / phases.decay) if phases.decay else 1.0
    if shape == HALF_LIFE:
        down = 0.5 ** (max(0, step - phases.decay_start) / half_life)
    else:
        down = decayed(shape, left, final)
    return down if step >= phases.decay_start else phases.warming(step)

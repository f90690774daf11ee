"""IBM's Power schedule: a rate that follows the tokens seen, whatever the run's length."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.decay_shapes import decayed
from windtunnel.schedules.phases import cut_into_phases


def power(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    lr: float,
    batch_units: int,
    amplitude: float = 4.0,
    exponent: float = -0.51,
    sequence_units: int = 4096,
    flat_units: float = 0.0,
    shape: str = "linear",
    final: float = 0.0,
) -> float:
    """Multiplier of the peak rate under the Power schedule.

    Its rate is absolute: after `n` units it is `min(lr, amplitude * b * n^exponent)` with the batch
    `b = batch_units / sequence_units`, so `lr` is only a ceiling (0.02 in the paper) and the
    multiplier is that rate over `lr`. One `amplitude` and `exponent` are to serve every batch and
    every length: tune `amplitude` where `lr` is tuned elsewhere. The warm-up rises in a line to the
    rate at its own end; the decay starts from the rate at its first step. Per-parameter factors
    (muP's) multiply the rate as ever.

    With `flat_units` it is `lr` that is tuned, as in a study, whose batch is one: the rate is `lr *
    min(1, (n / flat_units)^exponent)`, and the amplitude follows, `lr / (b * flat_units^exponent)`.

    Source: Shen et al. 2024 (arXiv 2408.13359v2), section 4: amplitude 4, exponent -0.51, fitted at
    sequences of 4096 tokens with AdamW under muP at base width 256 with the batch counted in
    sequences. The paper's decay is "exponential to 0" without its formula; the line is our choice.

    Args:
        step: 0 to `steps - 1`; units seen are those up to and with this step.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up.
        decay_fraction: Share of the steps that decay.
        lr: The recipe's rate: the ceiling.
        batch_units: The recipe's batch, in units (tokens) a step.
        amplitude: The paper's `a`.
        exponent: The paper's `b`, below 0; its fits gave -0.49 to -0.53.
        sequence_units: Units that count as one in the batch; the paper's sequence, 4096 tokens.
        flat_units: Units at `lr` before the rate falls, instead of an amplitude; 0 for none.
        shape: How it decays; see `decay_shapes.SHAPES`.
        final: Where the decay ends, as a share of the rate at its start.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The fractions are no shares of one run, or a setting is out of range.

    >>> from functools import partial
    >>> curve = partial(power, steps=8, warmup_fraction=0.25, decay_fraction=0.25,
    ...                 lr=0.02, batch_units=1, sequence_units=1, amplitude=0.04, exponent=-1)
    >>> [round(curve(step), 3) for step in range(8)]
    [0.5, 1.0, 0.667, 0.5, 0.4, 0.333, 0.286, 0.143]
    """
    positive = {
        "lr": lr,
        "batch_units": batch_units,
        "amplitude": amplitude,
        "sequence_units": sequence_units,
    }
    for name, value in positive.items():
        if not value > 0:
            raise WindtunnelError(f"recipe.schedule_settings.{name}: {value:g} is not above 0.")
    if flat_units < 0:
        raise WindtunnelError(
            f"recipe.schedule_settings.flat_units: {flat_units:g} is no number of units."
        )
    if not exponent < 0:
        raise WindtunnelError(
            f"recipe.schedule_settings.exponent: {exponent:g} is not below 0: the rate must fall."
        )
    phases = cut_into_phases(steps, warmup_fraction, decay_fraction)
    # A step in the warm-up or the decay stands on the curve at that phase's border.
    at = min(max(step, phases.warmup - 1), phases.decay_start)
    seen = (at + 1) * batch_units
    if flat_units:
        height = (seen / flat_units) ** exponent
    else:
        height = amplitude * (batch_units / sequence_units) * seen**exponent / lr
    left = min(1.0, (phases.steps - step) / phases.decay) if phases.decay else 1.0
    return float(min(1.0, height)) * phases.warming(step) * decayed(shape, left, final)

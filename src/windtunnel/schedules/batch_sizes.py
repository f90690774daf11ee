"""Batch-size schedules: pure functions from a step to a multiplier of the recipe's batch.

A contract of its own, beside that of the rates, with settings read off the signature in the same
way. Nothing uses it unasked: our training loop keeps one batch size throughout, and a loop of your
own asks `sequences_at` at every step. The rate follows the batch by the exponent of the optimizer's
batch rule (`windtunnel.parametrization.horizon`), on top of its own schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.settings import Schedule, Setting, checked_settings

_NO_SETTINGS: Mapping[str, Setting] = MappingProxyType({})


def doublings(step: int, steps: int, *, ramp_fraction: float, times: int = 3) -> float:
    """The batch in equal stretches of the ramp: `2^-times`, twice as much, ..., 1.

    Each batch is a whole number of the one before, as loaders like it. With 3 times it goes from an
    eighth up, as nanochat tried it (its log: small gains, dropped); OLMo-core has a list of sizes
    that divide one another, and multiplies the rate by the root of their ratio.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        ramp_fraction: Share of the steps before the batch is whole.
        times: How often it doubles.

    Returns:
        A number above 0 and at most 1.

    >>> [doublings(step, 8, ramp_fraction=0.5, times=2) for step in range(8)]
    [0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]
    """
    ramp = _ramp_steps(steps, ramp_fraction)
    if times < 1:
        raise WindtunnelError(f"batch schedule: {times} doublings; there is at least one.")
    return 1.0 if step >= ramp else float(0.5 ** (times - step * times // ramp))


def ramp(step: int, steps: int, *, ramp_fraction: float, first: float) -> float:
    """The batch in a straight line from a first share up to 1, as for GPT-3.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        ramp_fraction: Share of the steps before the batch is whole.
        first: The share that it begins with. GPT-3 went from 32 thousand tokens to 0.5 to 3.2
            million over its first 4 to 12 billion of 300 (Brown et al. 2020, appendix B).

    Returns:
        A number above 0 and at most 1.

    >>> [ramp(step, 6, ramp_fraction=2 / 3, first=0.5) for step in range(6)]
    [0.5, 0.625, 0.75, 0.875, 1.0, 1.0]
    """
    length = _ramp_steps(steps, ramp_fraction)
    if not 0 < first <= 1:
        raise WindtunnelError(f"batch schedule: first {first:g} is no share of the batch (0 to 1).")
    return 1.0 if step >= length else first + (1 - first) * (step / length)


BATCH_SCHEDULES: Mapping[str, Schedule] = MappingProxyType({"doublings": doublings, "ramp": ramp})


def batch_multiplier(
    name: str, step: int, steps: int, *, settings: Mapping[str, Setting] = _NO_SETTINGS
) -> float:
    """Multiplier of the recipe's batch at one step of a named batch schedule.

    Args:
        name: A key of `BATCH_SCHEDULES`.
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        settings: The schedule's own, by name.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The name is unknown, the step lies outside the run, or a setting is
            unknown, missing or out of range.

    >>> batch_multiplier("doublings", 0, 100, settings={"ramp_fraction": 0.1})
    0.125
    """
    if name not in BATCH_SCHEDULES:
        known = ", ".join(BATCH_SCHEDULES)
        raise WindtunnelError(f"batch schedule: no '{name}'; choose from {known}.")
    if not 0 <= step < steps:
        raise WindtunnelError(f"batch schedule: step {step} is outside a run of {steps} steps.")
    schedule = BATCH_SCHEDULES[name]
    return schedule(step, steps, **checked_settings(name, schedule, settings, "batch schedule"))


def sequences_at(
    name: str,
    step: int,
    steps: int,
    sequences: int,
    *,
    settings: Mapping[str, Setting] = _NO_SETTINGS,
) -> int:
    """Sequences (or images) in the step's batch: the multiplier's share of the whole, rounded.

    Args:
        name: A key of `BATCH_SCHEDULES`.
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        sequences: Sequences in a whole batch.
        settings: The schedule's own, by name.

    Returns:
        At least 1. Summed over the steps it is what the run reads, fewer than `steps * sequences`.

    Raises:
        WindtunnelError: As in `batch_multiplier`.

    >>> [sequences_at("ramp", k, 4, 32, settings={"ramp_fraction": 0.5, "first": 0.1})
    ...  for k in range(4)]
    [3, 18, 32, 32]
    """
    share = batch_multiplier(name, step, steps, settings=settings)
    return max(1, round(share * sequences))


def _ramp_steps(steps: int, fraction: float) -> int:
    if not 0 <= fraction <= 1:
        raise WindtunnelError(
            f"batch schedule: ramp_fraction {fraction:g} is no share of the run (0 to 1)."
        )
    return round(fraction * steps)

"""Multipliers written down elsewhere, stretched over a run."""

from __future__ import annotations

from collections.abc import Sequence

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.phases import cut_into_phases


def recorded(
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    multipliers: Sequence[float],
) -> float:
    """Multiplier read off a list that stands for a whole run, in lines between its entries.

    `refine_schedule` makes such a list from gradient norms. Entry `k` of `m` is the multiplier
    `k / m` of the way through, and the last one's value falls on towards 0 at the end as a straight
    line does, so that a list as long as the run is read off unchanged.

    Args:
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Not used: the list has the warm-up in it. It is still checked.
        decay_fraction: Not used, for the same reason.
        multipliers: Above 0 and at most 1, at least one. A hundred or so are enough, and each is
            part of the run's key.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The list is empty or has an entry outside 0 to 1.

    >>> [recorded(step, 4, warmup_fraction=0, decay_fraction=0, multipliers=[1, 0.5])
    ...  for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    cut_into_phases(steps, warmup_fraction, decay_fraction=0)
    if not multipliers or not all(0 < entry <= 1 for entry in multipliers):
        raise WindtunnelError(
            "recipe.schedule_settings.multipliers: need at least one number, each above 0 and at "
            "most 1."
        )
    whole, part = divmod(step * len(multipliers), steps)
    before = multipliers[whole]
    after = multipliers[whole + 1] if whole + 1 < len(multipliers) else 0.0
    return before + (after - before) * (part / steps)

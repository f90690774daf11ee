"""The point that a decision is about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from windtunnel.errors import WindtunnelError


def check_target(
    inputs: Sequence[str], target: Mapping[str, float], *, form: str, flag: str
) -> dict[str, float]:
    """The target's values of a form's inputs.

    Args:
        inputs: Of the form.
        target: As given.
        form: The form's name, for messages.
        flag: Where the target was given.

    Raises:
        WindtunnelError: One is missing or no positive number, or the form has no such input: what
            it leaves aside, it can't speak of.
    """
    found = {}
    for name in inputs:
        value = target.get(name)
        if value is None or not (math.isfinite(value) and value > 0):
            raise WindtunnelError(
                f"{flag}: the target needs a positive {name}; write it as "
                + ",".join(f"{each}=..." for each in inputs)
            )
        found[name] = float(value)
    others = [name for name in target if name not in found]
    if others:
        raise WindtunnelError(
            f"{flag}: the law has the form '{form}', which knows nothing of {', '.join(others)}; "
            "leave it out, or fit a form that has it"
        )
    return found

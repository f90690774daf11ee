"""Numbers of a memo with their ranges, as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.report.formatting import quantity


def with_range(estimate: Estimate, unit: str = "", *, first: bool = False) -> str:
    """`112 B tokens (95 B to 130 B)`; the first one on a page says what the brackets hold."""
    value, low, high = (quantity(each) for each in (estimate.value, *estimate.ci90))
    named = f"{value} {unit}".strip()
    if value == low == high:
        return named
    return f"{named} ({'90 % range ' if first else ''}{low} to {high})"


def loss_decimals(low: float, high: float) -> int:
    """Decimals that give half of a range two digits."""
    half = abs(high - low) / 2
    if not (math.isfinite(half) and half > 0):
        return 4
    return min(max(1 - math.floor(math.log10(half)), 0), 6)


def run_words(inputs: Mapping[str, float]) -> str:
    """`7 B parameters on 2 T tokens`, or each input by its name."""
    rest = [f"{name} {quantity(value)}" for name, value in inputs.items()]
    if {"params", "tokens"} <= set(inputs):
        rest = [
            f"{name} {quantity(value)}"
            for name, value in inputs.items()
            if name not in ("params", "tokens")
        ]
        params, tokens = quantity(inputs["params"]), quantity(inputs["tokens"])
        return ", ".join([f"{params} parameters on {tokens} tokens", *rest])
    return ", ".join(rest)


def many(count: int, what: str) -> str:
    """`1 row`, `240 rows`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"

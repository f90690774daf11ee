"""Numbers of a memo with their ranges, as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.report.formatting import input_words, quantity

_POWER = re.compile(r"\b\d+(?:\.\d+)?e[+-]?\d+\b")


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
    """`7 B parameters on 2 T tokens`, or each input with its number."""
    words = {name: f"{quantity(value)} {input_words(name)}" for name, value in inputs.items()}
    if {"params", "tokens"} <= set(words):
        first = f"{words.pop('params')} on {words.pop('tokens')}"
        return ", ".join([first, *words.values()])
    return ", ".join(words.values())


def plain(reason: str) -> str:
    """A reason of the forecast with the signs that a page can show."""
    signs = reason.replace("+-", "\u00b1")
    return _POWER.sub(lambda match: quantity(float(match[0])), signs)


def many(count: int, what: str) -> str:
    """`1 row`, `240 rows`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"

"""How single values of a study file may be written."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PositiveFloat,
    PositiveInt,
)

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


def _amount(value: Any) -> Any:
    """Read `2.5M`, `300k` or `1_000_000` as a whole number; leave anything else to pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)\s*([kmbgt]?)", value.strip().lower())
    if match is None:
        raise ValueError(f"'{value}' is not an amount such as 300000, 300k or 2.5M")
    amount = Fraction(match[1].replace("_", "")) * _SUFFIXES[match[2]]
    if amount.denominator != 1:
        raise ValueError(f"'{value}' is not a whole number")
    return amount.numerator


def _seconds(value: Any) -> Any:
    """Read `90s`, `10m` or `1.5h` as seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", value.strip().lower())
    if match is None:
        raise ValueError(f"'{value}' is not a time such as 90s, 10m or 1.5h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _setting(value: Any) -> str | float | tuple[float, ...]:
    """A name, a number or a list of numbers, which the schedule itself then judges."""
    if isinstance(value, str):
        return value
    entries = value if isinstance(value, list | tuple) else [value]
    for entry in entries:
        number = isinstance(entry, int | float) and not isinstance(entry, bool)
        if not (number and math.isfinite(entry)):
            raise ValueError(f"{entry!r} is no number, name or list of numbers")
    numbers = tuple(float(entry) for entry in entries)
    return numbers if isinstance(value, list | tuple) else numbers[0]


def _distinct_and_sorted(values: list[int]) -> list[int]:
    return sorted(set(values))


Amount = Annotated[PositiveInt, BeforeValidator(_amount)]
Seconds = Annotated[PositiveFloat, BeforeValidator(_seconds)]
Setting = Annotated[Any, AfterValidator(_setting)]
Sizes = Annotated[list[Amount], AfterValidator(_distinct_and_sorted)]


class Section(BaseModel):
    """A part of a study file, in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

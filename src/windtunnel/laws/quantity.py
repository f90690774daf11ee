"""Amounts as people write them: 1.3B, 300B tokens, 2e12, 12.5 PF-days, 50%."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from windtunnel.errors import WindtunnelError
from windtunnel.laws.units import parse_unit

_NUMBER = re.compile(
    r"(?P<number>[+-]?(?:[0-9][0-9_,]*(?:\.[0-9]*)?|\.[0-9]+))(?P<power>e[+-]?[0-9]+)?(?P<unit>.*)",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_TIMES_TEN = re.compile(r"\s*[x\u00d7*]\s*10\s*(?:\^|\*\*)\s*")
_TEN_TO = re.compile(r"\b10\s*(?:\^|\*\*)\s*")
_SHORT_NAMES = {"N": "params", "D": "tokens", "C": "flops"}
_UNITS = {
    "params": "params",
    "tokens": "tokens",
    "unique_tokens": "tokens",
    "batch_tokens": "tokens",
    "flops": "FLOPs",
    "seconds": "seconds",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and what it counts.

    Attributes:
        value: In single parameters, tokens, FLOPs or seconds; a percentage as a share of 1.
        unit: As `Unit.name`; empty where the text named none.
        bare: Whether the text was a number alone, without a unit or a suffix.
    """

    value: float
    unit: str
    bare: bool


def parse_quantity(text: str) -> Quantity:
    """Read an amount.

    Raises:
        WindtunnelError: It is no number, can be read in two ways, or its unit is unknown.
    """
    plain = text.strip().replace("\u2212", "-")
    plain = _TEN_TO.sub("1e", _TIMES_TEN.sub("e", plain))
    match = _NUMBER.fullmatch(plain)
    if match is None:
        raise WindtunnelError(f"'{_short(text)}' is not a number such as 350000000, 350M or 3.5e8")
    number, power, rest = match["number"], match["power"] or "", match["unit"].strip()
    if "," in number and not _THOUSANDS.fullmatch(number):
        raise WindtunnelError(
            f"'{_short(text)}' can be read in two ways: write 1.5 with a point, and thousands as "
            "1,000,000 or without commas"
        )
    unit = parse_unit(rest) if rest else None
    if rest and unit is None:
        raise WindtunnelError(
            f"'{_short(text)}' has an unknown unit '{_short(rest)}': write k, M, B or T, and "
            "params, tokens, FLOPs, PF-days or % after it"
        )
    if power and unit is not None and unit.factor != 1 and not unit.name:
        raise WindtunnelError(
            f"'{_short(text)}' can be read in two ways: give an exponent or a suffix, not both"
        )
    try:
        value = float(number.replace(",", "") + power) * (unit.factor if unit else 1.0)
    except ValueError as error:  # underscores in a row
        raise WindtunnelError(f"'{_short(text)}' is not a number") from error
    if not math.isfinite(value):
        raise WindtunnelError(f"'{_short(text)}' is too large a number")
    return Quantity(value, unit.name if unit else "", unit is None)


def parse_point(text: str) -> dict[str, float]:
    """Read a point such as `params=7B,tokens=2T`; `N`, `D` and `C` are params, tokens and flops.

    Raises:
        WindtunnelError: A part has no name or no value, a name comes twice, or a value is not a
            positive number in that name's unit.
    """
    point: dict[str, float] = {}
    for part in re.split(r",\s*(?=[A-Za-z_][^=,]*=)", text.strip()):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and name.isprintable() and equals and value):
            raise WindtunnelError(
                f"'{_short(part)}' is not NAME=VALUE; write it as params=7e9,tokens=2e12"
            )
        name = _SHORT_NAMES.get(name, name)
        if name in point:
            raise WindtunnelError(f"'{_short(text)}' gives {name} twice")
        try:
            quantity = parse_quantity(value)
        except WindtunnelError as error:
            raise WindtunnelError(f"{name}: {error}") from error
        check_unit(name, quantity)
        if quantity.value <= 0:
            raise WindtunnelError(f"{name}: {_short(value)} is not above 0")
        point[name] = quantity.value
    return point


def check_unit(name: str, quantity: Quantity) -> None:
    """Refuse tokens where parameters belong, and the like.

    Raises:
        WindtunnelError: The quantity's unit is another than the column's.
    """
    wanted = _UNITS.get(name)
    if wanted is not None and quantity.unit not in ("", wanted):
        raise WindtunnelError(f"{name}: the value is in {quantity.unit}, not in {wanted}")


def _short(text: str) -> str:
    """Long or many-lined input, cut so that a message stays one line."""
    line = " ".join("".join(c if c.isprintable() else "?" for c in text).split())
    return line if len(line) <= 40 else line[:37] + "..."

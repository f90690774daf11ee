"""FLOPs, parameters and tokens: one from the other two, and whether the three agree."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.given import Column, flag
from windtunnel.laws.solver import Array
from windtunnel.laws.table import ColumnUse

_FARTHEST = 300.0  # routed models may be off by their experts; a wrong unit is off by 1,000 or more


def check_compute(numbers: Mapping[str, Array], chosen: Mapping[str, Column], source: str) -> None:
    """Ask about units where flops are far from 6 x params x tokens.

    Raises:
        WindtunnelError: They are off by more than a factor of 300 in the middle row.
    """
    if not {"params", "tokens", "flops"} <= set(numbers):
        return
    ratio = compute_ratio(numbers)
    usable = ratio[np.isfinite(ratio) & (ratio > 0)]
    if usable.size and not 1 / _FARTHEST < np.median(usable) < _FARTHEST:
        headings = {name: chosen[name].heading for name in ("params", "tokens", "flops")}
        raise WindtunnelError(
            f"{source}: '{headings['flops']}' is {np.median(usable):.2g} times 6 x "
            f"'{headings['params']}' x '{headings['tokens']}', so a unit or a column is wrong; say "
            f"the unit, such as {flag('params', headings['params'], 'M')}, or leave a column out, "
            "such as --columns flops="
        )


def compute_ratio(numbers: Mapping[str, Array]) -> Array:
    """(n,) flops over 6 x params x tokens."""
    with np.errstate(all="ignore"):
        return numbers["flops"] / (6 * numbers["params"] * numbers["tokens"])


def derive_missing(numbers: dict[str, Array], uses: list[ColumnUse]) -> list[ColumnUse]:
    """Fill in params, tokens or flops where the other two are there; say so in the uses.

    Flops are 6 x params x tokens (Kaplan et al. 2020, section 2.1), forward and backward passes
    without attention.

    Args:
        numbers: Columns; changed in place.
        uses: Where they come from.
    """
    blank = np.full(numbers["loss"].size, np.nan)
    old = {name: numbers.get(name, blank) for name in ("params", "tokens", "flops")}
    with np.errstate(all="ignore"):
        formulas = {
            "flops": ("6 x params x tokens", 6 * old["params"] * old["tokens"]),
            "tokens": ("flops / (6 x params)", old["flops"] / (6 * old["params"])),
            "params": ("flops / (6 x tokens)", old["flops"] / (6 * old["tokens"])),
        }
    for name, (formula, values) in formulas.items():
        filled = np.isnan(old[name]) & np.isfinite(values)
        if not filled.any():
            continue
        numbers[name] = np.where(filled, values, old[name])
        use = next((use for use in uses if use.name == name), None)
        if use is None:
            uses.append(ColumnUse(name, None, "counts", f"derived: {formula}"))
        else:
            reason = f"{use.reason}; {filled.sum()} empty cells are {formula}"
            uses[uses.index(use)] = ColumnUse(name, use.heading, use.unit, reason, use.given)
    return uses

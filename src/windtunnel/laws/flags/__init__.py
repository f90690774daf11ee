"""Rows that a law should not be fitted to blindly, by named rules, each with its sentence."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.flags.dropping import DROPPING
from windtunnel.laws.flags.flag import Flag, Mask, lines_of, rows_in_words
from windtunnel.laws.flags.informing import INFORMING
from windtunnel.laws.table import RunTable

__all__ = ["Flag", "flag_rows"]


def flag_rows(table: RunTable) -> tuple[Mask, list[Flag]]:
    """Apply every rule: first those that drop rows, then the others to the rows that are left.

    Returns:
        The (n,) rows to keep, and the flags in the order of the rules.
    """
    keep = np.ones(len(table), dtype=bool)
    flags = []
    for rule, find, reason in DROPPING:
        found = find(table, keep) & keep
        if found.any():
            keep &= ~found
            words = f"{rows_in_words(table, found)}: {reason}; left out"
            flags.append(Flag(rule, lines_of(table, found), words, dropped=True))
    kept = table.keep(keep)
    if len(kept):
        for inform in INFORMING:
            flags += inform(kept)
    return keep, flags

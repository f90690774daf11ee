"""What a rule says of some rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windtunnel.laws.table import RunTable

Mask = NDArray[np.bool_]
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Flag:
    """Rows that one rule picked out.

    Attributes:
        rule: Its name.
        rows: Line numbers, ascending; empty where the rule is about a whole column.
        sentence: What was found, and what is done about it.
        dropped: Whether the rows are left out of every fit.
    """

    rule: str
    rows: tuple[int, ...]
    sentence: str
    dropped: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rule": self.rule,
            "rows": list(self.rows),
            "sentence": self.sentence,
            "dropped": self.dropped,
        }


def lines_of(table: RunTable, found: Mask) -> tuple[int, ...]:
    """Lines of the found rows, ascending."""
    return tuple(sorted(table.lines[found].tolist()))


def rows_in_words(table: RunTable, found: Mask) -> str:
    """`3 rows (lines 4, 9, 12)`."""
    lines = lines_of(table, found)
    shown = ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
    what = "line" if len(lines) == 1 else "lines"
    return f"{many(len(lines), 'row')} ({what} {shown})"


def many(count: int, what: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"

"""A table as it stands in its file: headings, cells, and the line of every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windtunnel.laws.solver import Array

Cells = Sequence[str] | Array


@dataclass(frozen=True, slots=True)
class RawTable:
    """Cells before anything was made of them.

    Attributes:
        source: Path, or `table`.
        place: What `lines` counts: `line` of a file or `row` of a table in memory.
        lines: (n,).
        columns: n cells by heading: texts, or floats where the source had numbers (NaN for none).
    """

    source: str
    place: str
    lines: NDArray[np.int64]
    columns: Mapping[str, Cells]


def distinct_headings(headings: Sequence[str]) -> list[str]:
    """Name what has no heading, and number what has another's: `loss`, `loss (2)`."""
    taken: set[str] = set()
    names = []
    for position, heading in enumerate(headings, start=1):
        wanted = " ".join(heading.split()) or f"column {position}"
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted} ({count})"
        taken.add(name)
        names.append(name)
    return names

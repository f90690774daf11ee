"""Cells as numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import Quantity, parse_quantity
from windtunnel.laws.reading.raw import Cells
from windtunnel.laws.solver import Array

_EMPTY = frozenset({"", "-", "--", "na", "n/a", "nan", "null", "none", "<na>"})
_SAMPLE = 200  # distinct cells that tell numbers from texts
_LEAST_SHARE = 0.1  # of numbers among them; the others are mistakes to be mended


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column read as numbers.

    Attributes:
        values: (n,), NaN for empty cells and for those in `wrong`.
        own_unit: (n,) whether the cell brought a unit or a suffix, so that its heading's does not
            apply.
        units: Names of the units in cells, as `Unit.name`.
        wrong: What is wrong with a cell that is no number, by its row.
    """

    values: Array
    own_unit: NDArray[np.bool_]
    units: frozenset[str]
    wrong: dict[int, str]

    @property
    def empty(self) -> bool:
        """Whether no cell holds a number."""
        return bool(np.isnan(self.values).all()) and not self.wrong

    @property
    def plain(self) -> bool:
        """Whether every cell is a bare number or empty."""
        return not (self.wrong or self.own_unit.any())


def parse_cells(cells: Cells) -> Numbers | None:
    """Read cells as numbers; None where nearly all are texts."""
    if isinstance(cells, np.ndarray):
        return _bare(cells)
    try:
        return _bare(np.array(list(map(float, cells))))
    except ValueError:
        return _mixed(cells)


def _bare(values: Array) -> Numbers:
    return Numbers(values, np.zeros(values.size, dtype=bool), frozenset(), {})


def _mixed(cells: Sequence[str]) -> Numbers | None:
    distinct = [cell for cell in dict.fromkeys(cells) if cell.strip().lower() not in _EMPTY]
    sample = [_read(cell) for cell in itertools.islice(distinct, _SAMPLE)]
    if sum(not isinstance(read, str) for read in sample) < _LEAST_SHARE * len(sample):
        return None
    values: dict[str, float] = {}
    with_unit: dict[str, str] = {}
    mistakes: dict[str, str] = {}
    for cell in distinct:
        read = _read(cell)
        if isinstance(read, str):
            mistakes[cell] = read
            continue
        values[cell] = read.value
        if not read.bare:
            with_unit[cell] = read.unit
    return Numbers(
        np.array([values.get(cell, np.nan) for cell in cells], dtype=float),
        np.array([cell in with_unit for cell in cells], dtype=bool),
        frozenset(with_unit.values()) - {""},
        {row: mistakes[cell] for row, cell in enumerate(cells) if cell in mistakes}
        if mistakes
        else {},
    )


def _read(cell: str) -> Quantity | str:
    """The amount in a cell, or what is wrong with it."""
    try:
        return Quantity(float(cell), "", bare=True)
    except ValueError:
        pass
    try:
        return parse_quantity(cell)
    except WindtunnelError as error:
        return str(error)

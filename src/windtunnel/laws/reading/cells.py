"""Cells as numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import parse_quantity
from windtunnel.laws.reading.raw import Cells
from windtunnel.laws.solver import Array

_EMPTY = frozenset({"", "-", "--", "na", "n/a", "nan", "null", "none", "<na>"})
_SAMPLE = 200  # distinct cells that tell numbers from texts


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
    def plain(self) -> bool:
        """Whether every cell is a bare number or empty."""
        return not (self.wrong or self.own_unit.any())


def parse_cells(cells: Cells) -> Numbers | None:
    """Read cells as numbers; None where most are texts or all are empty."""
    if isinstance(cells, np.ndarray):
        return None if np.isnan(cells).all() else _bare(cells)
    try:
        values = np.array(list(map(float, cells)))
        return None if np.isnan(values).all() else _bare(values)
    except ValueError:
        return _mixed(cells)


def _bare(values: Array) -> Numbers:
    return Numbers(values, np.zeros(values.size, dtype=bool), frozenset(), {})


def _mixed(cells: Sequence[str]) -> Numbers | None:
    distinct = [cell for cell in dict.fromkeys(cells) if cell.strip().lower() not in _EMPTY]
    sample = [_read(cell) for cell in itertools.islice(distinct, _SAMPLE)]
    if 2 * sum(not isinstance(read, str) for read in sample) <= len(sample):
        return None
    read = {cell: _read(cell) for cell in distinct}
    found = [read.get(cell, _NOTHING) for cell in cells]
    wrong = {row: value for row, value in enumerate(found) if isinstance(value, str)}
    numbers = [_NOTHING if isinstance(value, str) else value for value in found]
    return Numbers(
        np.array([value for value, _, _ in numbers]),
        np.array([own for _, own, _ in numbers]),
        frozenset(unit for _, _, unit in set(numbers)) - {""},
        wrong,
    )


_NOTHING = (float("nan"), False, "")


def _read(cell: str) -> tuple[float, bool, str] | str:
    """Value, whether the cell brought a unit or suffix, and the unit; or what is wrong."""
    try:
        return float(cell), False, ""
    except ValueError:
        pass
    try:
        quantity = parse_quantity(cell)
    except WindtunnelError as error:
        return str(error)
    return quantity.value, not quantity.bare, quantity.unit

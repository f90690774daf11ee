"""Tables that are in memory: pandas, Polars, Arrow, or plain columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.assemble import assemble
from windtunnel.laws.reading.jsonlines import as_cells
from windtunnel.laws.reading.raw import Cells, RawTable, distinct_headings
from windtunnel.laws.table import RunTable
from windtunnel.laws.where import rows_where

SOURCE = "table"


def table_from_arrow(
    table: Any, *, columns: Mapping[str, str] | None = None, where: str | None = None
) -> RunTable:
    """Take runs from anything with the Arrow PyCapsule interface (`__arrow_c_stream__`).

    That is a data frame of pandas (2.2 or later) or Polars, a pyarrow table, a DuckDB relation.
    Reading the stream takes pyarrow (`pip install 'windtunnel[data]'`).

    Args:
        table: The table, one row a run or checkpoint.
        columns: As for `read_table`.
        where: As for `read_table`.

    Raises:
        WindtunnelError: It has no such interface, pyarrow is missing, or as for `read_table`.
    """
    if not hasattr(table, "__arrow_c_stream__"):
        raise WindtunnelError(
            f"{SOURCE}: a {type(table).__name__} has no Arrow interface (__arrow_c_stream__); give "
            "a data frame, or a mapping of columns to table_from_columns"
        )
    try:
        import pyarrow
    except ImportError as error:
        raise WindtunnelError(
            f"{SOURCE}: reading Arrow data takes pyarrow: pip install 'windtunnel[data]', or give "
            "a mapping of columns to table_from_columns"
        ) from error
    try:
        arrow = pyarrow.table(table)
        named = dict(zip(distinct_headings(arrow.column_names), arrow.columns, strict=True))
        cells = {
            name: column.cast(pyarrow.float64(), safe=False).to_numpy()
            if pyarrow.types.is_integer(column.type) or pyarrow.types.is_floating(column.type)
            else as_cells(column.to_pylist())
            for name, column in named.items()
        }
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WindtunnelError(f"{SOURCE}: the Arrow data cannot be read ({reason})") from error
    return _table(cells, columns, where)


def table_from_columns(
    table: Mapping[str, Sequence[Any]],
    *,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
) -> RunTable:
    """Take runs from a mapping of headings to columns: lists, NumPy arrays, series.

    Args:
        table: Columns of equal length, with numbers, texts, or None for an empty cell.
        columns: As for `read_table`.
        where: As for `read_table`.

    Raises:
        WindtunnelError: The columns differ in length, or as for `read_table`.
    """
    return _table(
        {str(heading): _cells(values) for heading, values in table.items()}, columns, where
    )


def _cells(values: Sequence[Any]) -> Cells:
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.ndim == 1 and array.dtype.kind in "iuf":
        return array.astype(float)
    return as_cells([_plain(value) for value in values])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _table(
    cells: Mapping[str, Cells], columns: Mapping[str, str] | None, where: str | None
) -> RunTable:
    lengths = {len(column) for column in cells.values()}
    if len(lengths) != 1:
        raise WindtunnelError(
            f"{SOURCE}: columns of {sorted(lengths) or 'no'} rows; give columns of equal length"
        )
    rows = lengths.pop()
    if not rows:
        raise WindtunnelError(f"{SOURCE}: there are headings but no rows; give one row a run")
    raw = RawTable(SOURCE, "row", np.arange(1, rows + 1), cells)
    table = assemble(raw, columns)
    return table if where is None else table.keep(rows_where(table, where))

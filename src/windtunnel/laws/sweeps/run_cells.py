"""Cells of a table of runs as amounts, texts and ends of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import Quantity, check_unit
from windtunnel.laws.reading.cells import Numbers
from windtunnel.laws.reading.given import Column, flag
from windtunnel.laws.reading.metric_values import read_metric
from windtunnel.laws.reading.raw import Cells, RawTable
from windtunnel.laws.solver import Array
from windtunnel.laws.sweeps.names import DIVERGED, UNFINISHED
from windtunnel.laws.table import ColumnUse, Metric, RunTable
from windtunnel.laws.where import rows_where

_NO_TEXT = frozenset({"", "-", "--", "na", "n/a", "null", "none", "<na>"})


@dataclass(frozen=True, slots=True)
class EndedRows:
    """The rows of a table that have a result, as amounts and texts by our names.

    Attributes:
        values: (n,) of every chosen column of numbers, of all rows.
        texts: Of every chosen column of texts.
        metric: What the loss is.
        uses: What became of each column.
        diverged: (n,) whether a row's run diverged.
        rows: Which rows have a result and are kept.
        remarks: What was left out, in sentences for people.
    """

    values: dict[str, Array]
    texts: dict[str, tuple[str, ...]]
    metric: Metric
    uses: list[ColumnUse]
    diverged: NDArray[np.bool_]
    rows: list[int]
    remarks: list[str]


def ended_rows(
    raw: RawTable,
    chosen: Mapping[str, Column],
    read: Mapping[str, Numbers | None],
    texts: Collection[str],
    where: str | None,
) -> EndedRows:
    """Find the rows that have a result.

    Args:
        raw: Cells by heading.
        chosen: Columns by our names.
        read: Cells as numbers, by heading.
        texts: Names whose columns are texts.
        where: Rows to keep, such as `optimizer==adamw`.

    Raises:
        WindtunnelError: A cell is wrong, or no row has a result; the message has the place.
    """
    values, uses, metric = values_of(raw, chosen, read, texts)
    said = {n: texts_of(raw.columns[chosen[n].heading]) for n in texts if n in chosen}
    kept = np.ones(raw.lines.size, dtype=bool)
    if where is not None:
        kept = rows_where(all_columns(raw, chosen, read, values, said, metric, uses), where)
    ended, diverged, remarks = ends_of(raw, chosen["loss"], values["loss"], said.get("status"))
    rows: list[int] = np.flatnonzero(kept & ended).tolist()
    if not rows:
        raise WindtunnelError(f"{raw.source}: no row has a result; {' '.join(remarks)}")
    return EndedRows(values, said, metric, uses, diverged, rows, remarks)


def values_of(
    raw: RawTable,
    chosen: Mapping[str, Column],
    read: Mapping[str, Numbers | None],
    texts: Collection[str],
) -> tuple[dict[str, Array], list[ColumnUse], Metric]:
    """The (n,) values of every chosen column of numbers, what became of each, and the metric.

    Raises:
        WindtunnelError: A cell is no number, or a unit doesn't fit; the message has the place.
    """
    values: dict[str, Array] = {}
    uses = []
    metric = Metric("", "loss", "nats")
    for name, column in chosen.items():
        note, unit = "", column.parsed.unit_text or "as it is"
        if name not in texts:
            found = read[column.heading]
            assert found is not None, "columns of numbers only are chosen for these"
            values[name] = _scaled(raw, name, column, found)
        if name == "loss":
            assert found is not None, "as above"
            values[name], metric, unit, note = read_metric(raw, column, found, values[name])
            if metric.kind == "accuracy":
                values[name], note = 1 - values[name], "loss = 1 - accuracy"
        reason = f"{column.reason}; {note}" if note else column.reason
        uses.append(ColumnUse(name, column.heading, unit, reason, column.given))
    return values, uses, metric


def _scaled(raw: RawTable, name: str, column: Column, found: Numbers) -> Array:
    if found.wrong:
        row, what = next(iter(found.wrong.items()))
        raise WindtunnelError(f"{_place(raw, row, column)}: {what}; mend or empty the cell")
    unit = column.parsed.unit
    for unit_name in {*found.units, unit.name if unit else ""}:
        try:
            check_unit(name, Quantity(1.0, unit_name, bare=False))
        except WindtunnelError as error:
            raise WindtunnelError(
                f"{raw.source}, column '{column.heading}': {error}; choose another column with "
                f"{flag(name, 'HEADING')}"
            ) from error
    if unit is None or unit.factor == 1:
        return found.values
    return np.where(found.own_unit, 1.0, unit.factor) * found.values


def check_amounts(
    raw: RawTable,
    name: str,
    column: Column,
    values: Array,
    rows: Sequence[int],
    *,
    above_zero: bool,
) -> None:
    """Refuse the first of these rows whose amount is empty, infinite, or too small.

    Raises:
        WindtunnelError: There is one; the message has the place.
    """
    for row in rows:
        value = values[row]
        if np.isnan(value):
            raise WindtunnelError(
                f"{_place(raw, row, column)}: empty, and {name} is needed; mend the cell, or leave "
                "the row out with --where"
            )
        if np.isinf(value) or value < 0 or (above_zero and value == 0):
            wanted = "a positive number" if above_zero else "0 or a positive number"
            raise WindtunnelError(
                f"{_place(raw, row, column)}: {value:g} where {name} has to be {wanted}; mend the "
                "cell, or leave the row out with --where"
            )


def ends_of(
    raw: RawTable, column: Column, loss: Array, status: Sequence[str] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
    """Which rows have a result, which of them diverged, and what is left out.

    Raises:
        WindtunnelError: A loss is 0 or below.
    """
    cells = raw.columns[column.heading]
    empty = np.isnan(loss)
    if not isinstance(cells, np.ndarray):
        empty &= np.array([cell.strip().lower() in _NO_TEXT for cell in cells])
    diverged = ~np.isfinite(loss) & ~empty
    remarks = []
    if status is not None:
        words = np.array([word.strip().lower() for word in status])
        said = np.isin(words, list(DIVERGED))
        unfinished = np.isin(words, list(UNFINISHED))
        diverged, empty = (diverged | said) & ~unfinished, (empty & ~said) | unfinished
        counts = Counter(words[unfinished].tolist())
        remarks += [
            f"{count} rows whose status is '{word}' are left out." for word, count in counts.items()
        ]
        empty_only = int((empty & ~unfinished).sum())
    else:
        empty_only = int(empty.sum())
    if empty_only:
        remarks.append(f"{empty_only} rows without a {column.heading} are left out.")
    bad = np.flatnonzero(np.isfinite(loss) & (loss <= 0) & ~empty)
    if bad.size:
        raise WindtunnelError(
            f"{_place(raw, int(bad[0]), column)}: {loss[bad[0]]:g} where a loss has to be "
            "positive; mend the cell, or leave the row out with --where"
        )
    return ~empty, diverged, remarks


def texts_of(cells: Cells) -> tuple[str, ...]:
    """Cells as texts, numbers among them without a needless decimal."""
    if isinstance(cells, np.ndarray):
        return tuple("" if value != value else f"{value:.15g}" for value in cells.tolist())
    return tuple(cell.strip() for cell in cells)


def all_columns(
    raw: RawTable,
    chosen: Mapping[str, Column],
    read: Mapping[str, Numbers | None],
    values: Mapping[str, Array],
    texts: Mapping[str, tuple[str, ...]],
    metric: Metric,
    uses: Sequence[ColumnUse],
) -> RunTable:
    """All columns, for `--where`: the chosen ones by our names, the others by their headings."""
    numbers, labels = dict(values), dict(texts)
    used = {column.heading for column in chosen.values()}
    for heading, cells in raw.columns.items():
        found = read[heading]
        if heading in used or heading in numbers or heading in labels:
            continue
        if found is not None and found.plain:
            numbers[heading] = found.values
        else:
            labels[heading] = texts_of(cells)
    return RunTable(raw.source, raw.lines, numbers, labels, metric, tuple(uses))


def _place(raw: RawTable, row: int, column: Column) -> str:
    return f"{raw.source}, {raw.place} {raw.lines[row]}, column '{column.heading}'"

"""Tuning runs read from a table: their scale, rate, loss and what else was set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import Quantity, check_unit
from windtunnel.laws.reading.cells import Numbers, parse_cells
from windtunnel.laws.reading.given import Column, flag
from windtunnel.laws.reading.metric_values import read_metric
from windtunnel.laws.reading.raw import Cells, RawTable
from windtunnel.laws.solver import Array
from windtunnel.laws.sweeps.columns import choose_sweep_columns
from windtunnel.laws.sweeps.names import AXES, DIVERGED, SETTINGS, TEXTS, UNFINISHED
from windtunnel.laws.table import ColumnUse, Metric, RunTable
from windtunnel.laws.where import rows_where

_LENGTHS = ("tokens", "images", "steps")
_NO_TEXT = frozenset({"", "-", "--", "na", "n/a", "null", "none", "<na>"})
_MOST_KINDS = 12  # distinct values of a column that may still be a setting nobody named


@dataclass(frozen=True, slots=True)
class TuningRun:
    """One finished or diverged run.

    Attributes:
        line: Of the file, or number of the trial.
        scale: Value by axis, such as `{"width": 256.0, "tokens": 1e9}`.
        lr: Learning rate.
        loss: Final loss; None if it diverged.
        seed: As the table has it; "" where it has none.
        settings: Value by hyperparameter, the learning rate apart.
        rule: Its parametrization; "" where the table says none.
        run: Its name; "" where it has none.
    """

    line: int
    scale: Mapping[str, float]
    lr: float
    loss: float | None
    seed: str
    settings: Mapping[str, float]
    rule: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class TuningTable:
    """The runs of a table, and what was made of its columns.

    Attributes:
        source: Path or URL.
        place: What `TuningRun.line` counts.
        runs: In the table's order.
        metric: What the loss is.
        uses: Where every column comes from.
        remarks: What was left out or joined, in sentences for people.
    """

    source: str
    place: str
    runs: tuple[TuningRun, ...]
    metric: Metric
    uses: tuple[ColumnUse, ...]
    remarks: tuple[str, ...]


def read_tuning_table(
    raw: RawTable, given: Mapping[str, str], where: str | None = None
) -> TuningTable:
    """Make tuning runs of a table's rows.

    A loss of NaN or infinity is a diverged run, an empty one no result yet. Rows of one run's name
    that differ in length only are its checkpoints: the last counts.

    Args:
        raw: Cells by heading.
        given: Headings by name, from the user.
        where: Rows to keep, such as `optimizer==adamw`.

    Raises:
        WindtunnelError: A column cannot be told, or a cell is wrong; the message has the line and
            the column.
    """
    read = {heading: parse_cells(cells) for heading, cells in raw.columns.items()}
    chosen = choose_sweep_columns(read, given, raw.source)
    values, uses, metric = _values(raw, chosen, read)
    texts = {name: _texts(raw.columns[chosen[name].heading]) for name in TEXTS if name in chosen}
    kept = np.ones(raw.lines.size, dtype=bool)
    if where is not None:
        kept = rows_where(_as_run_table(raw, chosen, read, values, texts, metric, uses), where)
    ended, diverged, remarks = _ends(raw, chosen["loss"], values["loss"], texts.get("status"))
    rows: list[int] = np.flatnonzero(kept & ended).tolist()
    if not rows:
        raise WindtunnelError(f"{raw.source}: no row has a result; {' '.join(remarks)}")
    axes = [name for name in AXES if name in chosen]
    for name in ("lr", *axes, *(name for name in SETTINGS if name in chosen)):
        _check(raw, name, chosen[name], values[name], rows, above_zero=name not in SETTINGS)
    runs = [
        TuningRun(
            line=int(raw.lines[row]),
            scale={name: float(values[name][row]) for name in axes},
            lr=float(values["lr"][row]),
            loss=None if diverged[row] else float(values["loss"][row]),
            seed=_at(texts, "seed", row),
            settings={name: float(values[name][row]) for name in SETTINGS if name in chosen},
            rule=_at(texts, "rule", row),
            run=_at(texts, "run", row),
        )
        for row in rows
    ]
    last, joined = _last_checkpoints(runs, axes)
    remarks += joined + _unnamed(raw, chosen, rows, runs, read)
    return TuningTable(raw.source, raw.place, tuple(last), metric, tuple(uses), tuple(remarks))


def _at(texts: Mapping[str, Sequence[str]], name: str, row: int) -> str:
    return texts[name][row] if name in texts else ""


def _values(
    raw: RawTable, chosen: Mapping[str, Column], read: Mapping[str, Numbers | None]
) -> tuple[dict[str, Array], list[ColumnUse], Metric]:
    values: dict[str, Array] = {}
    uses = []
    metric = Metric("", "loss", "nats")
    for name, column in chosen.items():
        note, unit = "", column.parsed.unit_text or "as it is"
        if name not in TEXTS:
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
        raise WindtunnelError(f"{_cell(raw, row, column)}: {what}; mend or empty the cell")
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


def _cell(raw: RawTable, row: int, column: Column) -> str:
    return f"{raw.source}, {raw.place} {raw.lines[row]}, column '{column.heading}'"


def _check(
    raw: RawTable,
    name: str,
    column: Column,
    values: Array,
    rows: Sequence[int],
    *,
    above_zero: bool,
) -> None:
    for row in rows:
        value = values[row]
        if np.isnan(value):
            raise WindtunnelError(
                f"{_cell(raw, row, column)}: empty, and {name} is needed; mend the cell, or leave "
                "the row out with --where"
            )
        if np.isinf(value) or value < 0 or (above_zero and value == 0):
            wanted = "a positive number" if above_zero else "0 or a positive number"
            raise WindtunnelError(
                f"{_cell(raw, row, column)}: {value:g} where {name} has to be {wanted}; mend the "
                "cell, or leave the row out with --where"
            )


def _ends(
    raw: RawTable, column: Column, loss: Array, status: Sequence[str] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
    """Which rows have a result, which of them diverged, and what is left out."""
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
            f"{_cell(raw, int(bad[0]), column)}: {loss[bad[0]]:g} where a loss has to be positive; "
            "mend the cell, or leave the row out with --where"
        )
    return ~empty, diverged, remarks


def _last_checkpoints(
    runs: Sequence[TuningRun], axes: Sequence[str]
) -> tuple[list[TuningRun], list[str]]:
    lengths = [name for name in _LENGTHS if name in axes]
    groups: dict[str, list[TuningRun]] = {}
    for run in runs:
        groups.setdefault(run.run, []).append(run)
    if "" in groups or len(groups) == len(runs) or not lengths:
        return list(runs), []
    for group in groups.values():
        if len({_but_length(run) for run in group}) > 1:
            return list(runs), []  # the name is not a run's
    last = [max(group, key=lambda run: run.scale[lengths[0]]) for group in groups.values()]
    return last, [f"{len(runs)} rows are checkpoints of {len(last)} runs; the last of each counts."]


def _but_length(run: TuningRun) -> tuple[object, ...]:
    size = tuple((name, value) for name, value in run.scale.items() if name not in _LENGTHS)
    return (size, run.lr, run.seed, tuple(run.settings.items()))


def _unnamed(
    raw: RawTable,
    chosen: Mapping[str, Column],
    rows: Sequence[int],
    runs: Sequence[TuningRun],
    read: Mapping[str, Numbers | None],
) -> list[str]:
    """Columns that tell runs of one scale, rate and seed apart, and that nobody named."""
    used = {column.heading for column in chosen.values()}
    same: dict[tuple[object, ...], list[int]] = {}
    for row, run in zip(rows, runs, strict=True):
        at = (tuple(run.scale.items()), run.lr, run.seed, tuple(run.settings.items()), run.rule)
        same.setdefault(at, []).append(row)
    remarks = []
    for heading, cells in raw.columns.items():
        texts = _texts(cells)
        kinds = {texts[row] for row in rows}
        if heading in used or not 1 < len(kinds) <= _MOST_KINDS or len(kinds) > len(rows) / 2:
            continue
        if any(len({texts[row] for row in group}) > 1 for group in same.values()):
            shown = ", ".join(f"'{kind}'" for kind in sorted(kinds)[:4])
            remarks.append(
                f"Runs that are alike otherwise differ in '{heading}' ({shown}): choose with "
                f"--where if that matters."
            )
    return remarks


def _texts(cells: Cells) -> tuple[str, ...]:
    if isinstance(cells, np.ndarray):
        return tuple("" if value != value else f"{value:.15g}" for value in cells.tolist())
    return tuple(cell.strip() for cell in cells)


def _as_run_table(
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
            labels[heading] = _texts(cells)
    return RunTable(raw.source, raw.lines, numbers, labels, metric, tuple(uses))

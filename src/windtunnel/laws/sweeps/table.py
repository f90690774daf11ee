"""Tuning runs read from a table: their scale, rate, loss and what else was set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windtunnel.laws.reading.cells import Numbers, parse_cells
from windtunnel.laws.reading.given import Column
from windtunnel.laws.reading.raw import RawTable
from windtunnel.laws.sweeps.columns import choose_sweep_columns
from windtunnel.laws.sweeps.names import AXES, SETTINGS, TEXTS
from windtunnel.laws.sweeps.run_cells import check_amounts, ended_rows, texts_of
from windtunnel.laws.table import ColumnUse, Metric

_LENGTHS = ("tokens", "images", "steps")
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
    found = ended_rows(raw, chosen, read, TEXTS, where)
    values, texts, rows = found.values, found.texts, found.rows
    axes = [name for name in AXES if name in chosen]
    for name in ("lr", *axes, *(name for name in SETTINGS if name in chosen)):
        check_amounts(raw, name, chosen[name], values[name], rows, above_zero=name not in SETTINGS)
    runs = [
        TuningRun(
            line=int(raw.lines[row]),
            scale={name: float(values[name][row]) for name in axes},
            lr=float(values["lr"][row]),
            loss=None if found.diverged[row] else float(values["loss"][row]),
            seed=_at(texts, "seed", row),
            settings={name: float(values[name][row]) for name in SETTINGS if name in chosen},
            rule=_at(texts, "rule", row),
            run=_at(texts, "run", row),
        )
        for row in rows
    ]
    last, joined = _last_checkpoints(runs, axes)
    remarks = found.remarks + joined + _unnamed(raw, chosen, rows, runs, read)
    return TuningTable(
        raw.source, raw.place, tuple(last), found.metric, tuple(found.uses), tuple(remarks)
    )


def _at(texts: Mapping[str, Sequence[str]], name: str, row: int) -> str:
    return texts[name][row] if name in texts else ""


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
        texts = texts_of(cells)
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

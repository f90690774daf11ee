"""Read the finished runs of several methods from a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from windtunnel.comparing.columns import (
    HYPERPARAMETERS,
    LENGTHS,
    MEASURES,
    SIZES,
    TEXTS,
    choose_columns,
)
from windtunnel.comparing.finished import FinishedRun, MethodRuns, Stage
from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.cells import parse_cells
from windtunnel.laws.reading.given import Column, flag
from windtunnel.laws.reading.raw import RawTable
from windtunnel.laws.solver import Array
from windtunnel.laws.sweeps.run_cells import check_amounts, ended_rows

_STAGES: Mapping[str, Stage] = {
    "": "final",
    "final": "final",
    "tuning": "tuning",
    "spot check": "spot check",
    "spot-check": "spot check",
    "spot_check": "spot check",
}


def read_method_runs(
    raw: RawTable, given: Mapping[str, str], where: str | None = None
) -> MethodRuns:
    """Make finished runs of a table's rows.

    A loss of NaN or infinity, or the status `diverged`, is a diverged run; an empty loss or an
    unfinished one's status leaves a row out, and it is said how many.

    Args:
        raw: Cells by heading.
        given: Headings by name, from the user.
        where: Rows to keep, such as `width>=256`.

    Raises:
        WindtunnelError: A column cannot be told, or a cell is wrong; the message has the line and
            the column.
    """
    read = {heading: parse_cells(cells) for heading, cells in raw.columns.items()}
    chosen = choose_columns(read, given, raw.source)
    found = ended_rows(raw, chosen, read, TEXTS, where)
    values, texts, rows = found.values, found.texts, found.rows
    sizes = [name for name in SIZES if name in chosen]
    if not {"width", "depth"} & set(sizes) and "params" in chosen:
        sizes.append("params")
    length = next((name for name in LENGTHS if name in chosen), None)
    for name in (*sizes, *([length] if length else [])):
        check_amounts(raw, name, chosen[name], values[name], rows, above_zero=True)
    settings = [name for name in HYPERPARAMETERS if name in chosen]
    runs = tuple(
        FinishedRun(
            line=int(raw.lines[row]),
            method=_named(raw, chosen["method"], texts["method"], row),
            scale={name: float(values[name][row]) for name in sizes},
            units=float(values[length][row]) if length else 1.0,
            seed=texts["seed"][row],
            loss=math.inf if found.diverged[row] else float(values["loss"][row]),
            settings=_settings(settings, values, row),
            stage=_stage(raw, chosen.get("stage"), texts.get("stage"), row),
            workload=texts["workload"][row] if "workload" in texts else "",
            **{name: _measure(values.get(name), row) for name in MEASURES},
        )
        for row in rows
    )
    return MethodRuns(
        raw.source, runs, length or "runs", found.metric, tuple(found.uses), tuple(found.remarks)
    )


def _named(raw: RawTable, column: Column, names: Sequence[str], row: int) -> str:
    if not names[row]:
        raise WindtunnelError(
            f"{raw.source}, {raw.place} {raw.lines[row]}, column '{column.heading}': empty, and "
            "every run needs its method; mend the cell, or leave the row out with --where"
        )
    return names[row]


def _settings(names: Sequence[str], values: Mapping[str, Array], row: int) -> dict[str, float]:
    return {name: float(values[name][row]) for name in names if not np.isnan(values[name][row])}


def _stage(raw: RawTable, column: Column | None, texts: Sequence[str] | None, row: int) -> Stage:
    if column is None or texts is None:
        return "final"
    word = texts[row].strip().lower()
    if word not in _STAGES:
        raise WindtunnelError(
            f"{raw.source}, {raw.place} {raw.lines[row]}, column '{column.heading}': '{word}' is "
            f"no stage; write final, tuning or spot check, or leave it out with {flag('stage', '')}"
        )
    return _STAGES[word]


def _measure(values: Array | None, row: int) -> float | None:
    if values is None or not (np.isfinite(values[row]) and values[row] > 0):
        return None
    return float(values[row])

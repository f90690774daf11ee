"""From cells to a table of runs: columns under their names, in plain units, every cell checked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.quantity import Quantity, check_unit
from windtunnel.laws.reading.cells import Numbers, parse_cells
from windtunnel.laws.reading.columns import choose_columns
from windtunnel.laws.reading.compute import check_compute, derive_missing
from windtunnel.laws.reading.given import Column, flag
from windtunnel.laws.reading.metric_values import read_metric
from windtunnel.laws.reading.raw import Cells, RawTable
from windtunnel.laws.solver import Array
from windtunnel.laws.table import CANONICAL, ColumnUse, RunTable

_AXES = (
    *("params", "tokens", "flops", "steps", "experts", "vocabulary", "unique_tokens"),
    *("vocabulary_params", "members"),
)
_ABOVE_ZERO = frozenset(
    {
        *("params", "flops", "experts", "vocabulary", "unique_tokens", "lr"),
        *("vocabulary_params", "members", "weight"),
    }
)


def assemble(raw: RawTable, columns: Mapping[str, str] | None) -> RunTable:
    """Make a table of runs.

    Args:
        raw: Cells by heading.
        columns: Headings by canonical name, where the user named them.

    Raises:
        WindtunnelError: A column cannot be told, or a cell is no number or one that cannot be.
    """
    read = {heading: parse_cells(cells) for heading, cells in raw.columns.items()}
    chosen = choose_columns(read, columns or {}, raw.source)
    if "loss" not in chosen:
        raise WindtunnelError(
            f"{raw.source}: no column looks like a loss; name it: {flag('loss', 'HEADING')}, with "
            "(accuracy), (error) or (perplexity) after the heading if it is one"
        )
    numbers: dict[str, Array] = {}
    uses: list[ColumnUse] = []
    run = chosen.pop("run", None)
    for name, column in chosen.items():
        found = read[column.heading]
        assert found is not None  # choose_columns takes numeric columns alone
        _refuse_wrong(raw, column, found)
        scaled = _scaled(raw, name, column, found)
        if name == "loss":
            scaled, metric, unit, note = read_metric(raw, column, found, scaled)
            uses.append(_use(name, column, unit, note))
        else:
            _check_range(raw, name, column, scaled)
            uses.append(_use(name, column, column.parsed.unit_text or "as it is"))
        numbers[name] = scaled
    check_compute(numbers, chosen, raw.source)
    uses = derive_missing(numbers, uses)
    if not any(name in numbers for name in _AXES):
        raise WindtunnelError(
            f"{raw.source}: no column looks like params, tokens, flops or steps; name one: "
            f"{flag('params', 'HEADING')}"
        )
    labels: dict[str, tuple[str, ...]] = {}
    if run is not None and (run.given or _one_size_a_run(raw.columns[run.heading], numbers)):
        labels["run"] = _texts(raw.columns[run.heading])
        uses.append(_use("run", run, "names"))
    used = {use.heading for use in uses}
    for heading, cells in raw.columns.items():
        if heading in used:
            continue
        name = f"{heading} (unused)" if heading in CANONICAL else heading
        found = read[heading]
        if found is not None and found.plain:
            numbers[name] = found.values
        else:
            labels[name] = _texts(cells)
    order = {name: place for place, name in enumerate(CANONICAL)}
    uses.sort(key=lambda use: order[use.name])
    return RunTable(raw.source, raw.lines, numbers, labels, metric, tuple(uses))


def _use(name: str, column: Column, unit: str, note: str = "") -> ColumnUse:
    reason = f"{column.reason}; {note}" if note else column.reason
    return ColumnUse(name, column.heading, unit, reason, column.given)


def _refuse_wrong(raw: RawTable, column: Column, found: Numbers) -> None:
    if found.wrong:
        row, what = next(iter(found.wrong.items()))
        more = f" ({len(found.wrong)} such cells)" if len(found.wrong) > 1 else ""
        raise WindtunnelError(
            f"{_place(raw, row)}, column '{column.heading}': {what}; mend or empty the cell{more}"
        )


def _scaled(raw: RawTable, name: str, column: Column, found: Numbers) -> Array:
    """Values in plain units: the heading's unit applies to cells that bring none."""
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


def _check_range(raw: RawTable, name: str, column: Column, values: Array) -> None:
    """Refuse infinite and negative values, and 0 where it cannot be."""
    wrong = np.isinf(values) | (values < 0)
    if name in _ABOVE_ZERO:
        wrong |= values == 0
    if name == "seed":
        wrong = np.isinf(values)
    if wrong.any():
        row = int(wrong.argmax())
        wanted = "a positive number" if name in _ABOVE_ZERO else "0 or a positive number"
        raise WindtunnelError(
            f"{_place(raw, row)}, column '{column.heading}': {values[row]:g} where {name} "
            f"has to be {wanted}; mend or empty the cell"
        )


def _place(raw: RawTable, row: int) -> str:
    return f"{raw.source}, {raw.place} {raw.lines[row]}"


def _one_size_a_run(cells: Cells, numbers: Mapping[str, Array]) -> bool:
    """Whether each name goes with one size: otherwise it names something else than a run."""
    if "params" not in numbers:
        return True
    sizes: dict[str, float] = {}
    return all(
        size != size or sizes.setdefault(name, size) == size
        for name, size in zip(_texts(cells), numbers["params"].tolist(), strict=True)
        if name
    )


def _texts(cells: Cells) -> tuple[str, ...]:
    if isinstance(cells, np.ndarray):
        return tuple(
            "" if value != value else repr(int(value) if value.is_integer() else value)
            for value in cells.tolist()
        )
    return tuple(map(str.strip, cells))

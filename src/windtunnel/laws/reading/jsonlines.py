"""JSON lines: one object a row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.raw import Cells, RawTable

_DEEPEST = 8  # levels of nesting that are opened


def read_json_lines(text: str, source: str) -> RawTable:
    """Read one object a line; nested ones give columns such as `config/params`.

    Raises:
        WindtunnelError: A line is no JSON object.
    """
    numbers, rows = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            numbers.append(number)
            rows.append(_row(line, f"{source}, line {number}"))
    headings = dict.fromkeys(heading for row in rows for heading in row)
    if not headings:
        raise WindtunnelError(f"{source}: the objects hold nothing; give one row a run")
    columns = {heading: as_cells([row.get(heading) for row in rows]) for heading in headings}
    return RawTable(source, "line", np.array(numbers, dtype=np.int64), columns)


def as_cells(values: list[Any]) -> Cells:
    """Floats where every value is a number or None, otherwise texts."""
    if all(value is None or type(value) in (int, float) for value in values):
        try:
            return np.array([np.nan if v is None else float(v) for v in values], dtype=float)
        except OverflowError:  # an integer beyond a float's range stays text and is refused by name
            pass
    return ["" if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, (bool, list, dict)) else str(value)


def _row(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WindtunnelError(
            f"{place}: this is no JSON; give one whole object on every line"
        ) from error
    if not isinstance(value, dict):
        raise WindtunnelError(
            f"{place}: a JSON object belongs on every line, such as "
            '{"params": 1e8, "tokens": 2e9, "loss": 3.1}'
        )
    return _flat(value, "", _DEEPEST)


def _flat(value: dict[str, Any], prefix: str, levels: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, inner in value.items():
        name = prefix + " ".join(key.split())
        if isinstance(inner, dict) and levels:
            row |= _flat(inner, name + "/", levels - 1)
        else:
            row[name] = inner
    return row

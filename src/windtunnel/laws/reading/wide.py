"""Charts exported from Weights & Biases: one column a run, named `run - metric`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.laws.reading.raw import Cells, RawTable

_RUN_AND_METRIC = re.compile(r"(?P<run>.+) - (?P<metric>[^ ].*?)(?P<bound>__MIN|__MAX)?")


def lengthen(raw: RawTable) -> RawTable:
    """One row for each run and line, with columns `run` and the metrics.

    The `__MIN` and `__MAX` columns go, and so do the cells that the export leaves blank where a
    run logged nothing. A table of any other shape comes back as it is.

    Raises:
        WindtunnelError: No run has a value.
    """
    parts = {heading: _RUN_AND_METRIC.fullmatch(heading) for heading in raw.columns}
    measured = {heading: match for heading, match in parts.items() if match}
    if not any(match["bound"] for match in measured.values()):
        return raw  # a dash alone can be part of any heading; W&B always writes the bounds
    values: dict[str, dict[str, Cells]] = {}
    for heading, match in measured.items():
        if not match["bound"]:
            values.setdefault(match["run"], {})[match["metric"]] = raw.columns[heading]
    shared = [heading for heading, match in parts.items() if not match]
    metrics = list(dict.fromkeys(metric for run in values.values() for metric in run))
    pieces = [_piece(raw, run, shared, metrics, columns) for run, columns in values.items()]
    if not pieces or not sum(len(lines) for lines, _ in pieces):
        raise WindtunnelError(f"{raw.source}: no run in this chart's export has a value")
    return RawTable(
        raw.source,
        raw.place,
        np.concatenate([lines for lines, _ in pieces]),
        {
            heading: [cell for _, columns in pieces for cell in columns[heading]]
            for heading in ("run", *shared, *metrics)
        },
    )


def _piece(
    raw: RawTable, run: str, shared: list[str], metrics: list[str], own: dict[str, Cells]
) -> tuple[NDArray[np.int64], dict[str, list[str]]]:
    texts = {metric: _texts(cells) for metric, cells in own.items()}
    rows = [row for row in range(raw.lines.size) if any(cells[row] for cells in texts.values())]
    columns = {"run": [run] * len(rows)}
    for heading in shared:
        cells = _texts(raw.columns[heading])
        columns[heading] = [cells[row] for row in rows]
    for metric in metrics:
        columns[metric] = [texts[metric][row] if metric in texts else "" for row in rows]
    return raw.lines[rows], columns


def _texts(cells: Cells) -> Sequence[str]:
    if isinstance(cells, np.ndarray):
        return ["" if np.isnan(value) else repr(value) for value in cells.tolist()]
    return cells

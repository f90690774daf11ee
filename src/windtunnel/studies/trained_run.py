"""One run that was trained elsewhere, from its metrics file or its row in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from windtunnel.errors import NegativeVerdictError, WindtunnelError
from windtunnel.laws.reading.cells import Numbers, parse_cells
from windtunnel.laws.reading.file import read_raw
from windtunnel.laws.reading.given import Column, flag, given_column, listed
from windtunnel.laws.reading.headings import parse_heading
from windtunnel.laws.reading.metric_columns import choose_metric
from windtunnel.laws.reading.metric_values import read_metric
from windtunnel.laws.reading.raw import Cells, RawTable
from windtunnel.laws.solver import Array
from windtunnel.laws.sweeps.names import AXES

_TIMES: Mapping[str, frozenset[str]] = {
    "started": frozenset({"started", "started at", "start time", "created", "created at"}),
    "finished": frozenset({"finished", "finished at", "end time", "ended at", "completed at"}),
    "time": frozenset({"timestamp", "time stamp", "wall time", "datetime", "date", "logged at"}),
}
RUN_COLUMNS = ("loss", "width", "depth", "tokens", "images", "steps", *_TIMES)
_EPOCH = (1e9, 1e11)  # seconds between 2001 and 5138; in milliseconds a thousand times as much
_NO_RESULT = frozenset({"", "-", "--", "na", "n/a", "null", "none", "<na>"})


@dataclass(frozen=True, slots=True)
class Moment:
    """A time stamp.

    Attributes:
        at: In UTC; one without a zone is taken as UTC.
        zoned: Whether its zone is known.
    """

    at: datetime
    zoned: bool


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """What a file says of one run.

    Attributes:
        source: The file.
        loss: At its end.
        sizes: `width`, `depth`, `tokens`, `images` and `steps`, as far as the file has them; the
            lengths are those reached at the end.
        started: When it was, or the first of its time stamps; None where that isn't known.
        finished: The last of its time stamps; None where there is none.
        written: When the file was last changed.
        columns: Heading by name.
    """

    source: str
    loss: float
    sizes: Mapping[str, float]
    started: Moment | None
    finished: Moment | None
    written: datetime
    columns: Mapping[str, str]


def read_trained_run(path: Path, given: Mapping[str, str], metric: str) -> TrainedRun:
    """Read the end of a run.

    Args:
        path: CSV or JSON lines, one row a step or one for the whole run.
        given: Headings by name (`RUN_COLUMNS`), from the user.
        metric: What the study calls its loss; a column of that name is taken first.

    Raises:
        WindtunnelError: It can't be read, a column can't be told, or the rows are of several runs.
        NegativeVerdictError: The run diverged.
    """
    raw = read_raw(path)
    read = {heading: parse_cells(cells) for heading, cells in raw.columns.items()}
    chosen = _columns(raw, read, given, metric)
    sizes = {name: _numbers(raw, read, chosen[name]) for name in AXES if name in chosen}
    for name in ("width", "depth"):
        if name in sizes and len(distinct := set(sizes[name][np.isfinite(sizes[name])])) > 1:
            raise WindtunnelError(
                f"{raw.source}: the rows are of several runs ({len(distinct)} values of {name}); "
                "give a file of the target's run alone"
            )
    loss = _last_loss(raw, read, chosen["loss"], _order(sizes, raw.lines.size))
    stamps = {
        name: _moments(raw.columns[chosen[name].heading]) if name in chosen else []
        for name in _TIMES
    }
    logged = stamps["time"]
    # A lone stamp is written when a run ends, as far as anyone can tell.
    starts = stamps["started"] + (logged if len({stamp.at for stamp in logged}) > 1 else [])
    ends = stamps["finished"] + logged
    return TrainedRun(
        source=str(path),
        loss=loss,
        sizes={
            name: found for name, values in sizes.items() if (found := _end(values)) is not None
        },
        started=min(starts, key=_at, default=None),
        finished=max(ends, key=_at, default=None),
        written=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        columns={name: column.heading for name, column in chosen.items()},
    )


def _columns(
    raw: RawTable, read: Mapping[str, Numbers | None], given: Mapping[str, str], metric: str
) -> dict[str, Column]:
    chosen: dict[str, Column] = {}
    for name, text in given.items():
        heading = text if text in read else text.replace(".", "/")
        if name in _TIMES and heading in read:
            chosen[name] = Column(heading, parse_heading(heading), "you named it", given=True)
        elif text:
            chosen[name] = given_column(
                name, heading if heading in read else text, read, raw.source
            )
    headings = {text: parse_heading(text) for text in read}
    numeric = {t: h for t, h in headings.items() if (n := read[t]) is not None and not n.empty}
    for name in RUN_COLUMNS[1:]:
        phrases = {**AXES, **_TIMES}[name]
        among = headings if name in _TIMES else numeric
        fitting = [text for text, heading in among.items() if heading.phrase in phrases]
        if name not in given and len(fitting) == 1:
            chosen[name] = Column(fitting[0], headings[fitting[0]], "the heading says it", False)
    if "loss" not in given:
        found = choose_metric(numeric).best
        best = (metric,) if metric in numeric and metric != "loss" else found
        if len(best) != 1:
            what = f"which column is {metric}: {listed(best)}?" if best else "no column is a loss;"
            example = best[0] if best else "HEADING"
            raise WindtunnelError(f"{raw.source}: {what} Add {flag('loss', example)}")
        chosen["loss"] = Column(best[0], headings[best[0]], "the heading says it", given=False)
    return chosen


def _numbers(raw: RawTable, read: Mapping[str, Numbers | None], column: Column) -> Array:
    found = read[column.heading]
    assert found is not None, "columns of numbers only are chosen for these"
    if found.wrong:
        row, what = next(iter(found.wrong.items()))
        raise WindtunnelError(
            f"{raw.source}, {raw.place} {raw.lines[row]}, column '{column.heading}': {what}; mend "
            "or empty the cell"
        )
    factor = 1.0 if column.parsed.unit is None else column.parsed.unit.factor
    return np.where(found.own_unit, 1.0, factor) * found.values


def _order(sizes: Mapping[str, Array], rows: int) -> list[int]:
    """Rows by how far the run was; by their place where no length is given."""
    for name in ("tokens", "images", "steps"):
        if name in sizes:
            reached = np.nan_to_num(sizes[name], nan=-1.0)
            return [int(row) for row in np.argsort(reached, kind="stable")]
    return list(range(rows))


def _last_loss(
    raw: RawTable, read: Mapping[str, Numbers | None], column: Column, order: Sequence[int]
) -> float:
    values = _numbers(raw, read, column)
    found = read[column.heading]
    assert found is not None, "as above"
    values, *_ = read_metric(raw, column, found, values)
    cells = raw.columns[column.heading]
    for row in reversed(order):
        if np.isfinite(values[row]):
            return float(values[row])
        if np.isinf(values[row]) or not (
            isinstance(cells, np.ndarray) or cells[row].strip().lower() in _NO_RESULT
        ):
            raise NegativeVerdictError(
                f"{raw.source}, {raw.place} {raw.lines[row]}: the run diverged (its last "
                f"{column.heading} is no number). The forecast is refuted."
            )
    raise WindtunnelError(f"{raw.source}: column '{column.heading}' holds no number")


def _end(values: Array) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else None


def _at(moment: Moment) -> datetime:
    return moment.at


def _moments(cells: Cells) -> list[Moment]:
    """The time stamps of a column; what is none is passed over."""
    texts = cells.tolist() if isinstance(cells, np.ndarray) else cells
    return [moment for text in texts if (moment := parse_moment(text)) is not None]


def parse_moment(text: str | float) -> Moment | None:
    """Read ISO 8601, or seconds or milliseconds since 1970; None for anything else."""
    try:
        number = float(text)
    except ValueError:
        try:
            stamp = datetime.fromisoformat(str(text).strip())
        except ValueError:
            return None
        zoned = stamp.tzinfo is not None
        return Moment(stamp.astimezone(UTC) if zoned else stamp.replace(tzinfo=UTC), zoned)
    for factor in (1.0, 1e3):
        if _EPOCH[0] <= number / factor <= _EPOCH[1]:
            return Moment(datetime.fromtimestamp(number / factor, UTC), zoned=True)
    return None

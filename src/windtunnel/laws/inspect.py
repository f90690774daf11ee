"""What a table of runs holds, before anything is fitted to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.flags import Flag, flag_rows
from windtunnel.laws.forms import FORMS
from windtunnel.laws.forms.form import Form
from windtunnel.laws.reading.compute import compute_ratio
from windtunnel.laws.solver import Array
from windtunnel.laws.table import ColumnUse, Metric, RunTable


@dataclass(frozen=True, slots=True)
class Span:
    """A canonical column: where it comes from and what its kept rows cover.

    Attributes:
        use: Where its values come from.
        low: Least value; None for texts and where no row has one.
        high: Greatest value.
        distinct: How many distinct values.
        empty: How many cells are empty, of all rows.
        target: The target's value; None where none was given.
        ratio: How many times the target lies beyond the range: above 1 beyond the greatest value,
            below 1 beyond the least, 1 inside.
    """

    use: ColumnUse
    low: float | None
    high: float | None
    distinct: int
    empty: int
    target: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class FormFit:
    """Whether the columns allow a form; if not, `reason` says what is missing."""

    name: str
    formula: str
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `windtunnel laws inspect` says.

    Attributes:
        source: The file.
        rows: Rows read.
        kept: Rows that no rule leaves out.
        runs: Runs that the kept rows belong to.
        metric: What is predicted.
        columns: The canonical columns.
        others: Distinct values of each further column.
        flops_ratio: Middle of flops / (6 x params x tokens); None where one is missing or was
            derived from the others.
        flags: What the rules found.
        forms: Every form, and whether the columns allow it.
    """

    source: str
    rows: int
    kept: int
    runs: int
    metric: Metric
    columns: tuple[Span, ...]
    others: Mapping[str, int]
    flops_ratio: float | None
    flags: tuple[Flag, ...]
    forms: tuple[FormFit, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        spans = [asdict(span) for span in self.columns]
        return {
            "source": self.source,
            "rows": self.rows,
            "kept": self.kept,
            "runs": self.runs,
            "metric": asdict(self.metric),
            "columns": [{**span.pop("use"), **span} for span in spans],
            "others": dict(self.others),
            "flops_ratio": self.flops_ratio,
            "flags": [{**asdict(flag), "rows": list(flag.rows)} for flag in self.flags],
            "forms": [asdict(form) for form in self.forms],
        }


def inspect_table(table: RunTable, target: Mapping[str, float] | None = None) -> Inspection:
    """Describe a table.

    Args:
        table: The runs.
        target: Where a forecast is wanted, by column; flops follow from params and tokens.

    Raises:
        WindtunnelError: The target names a column that the table lacks.
    """
    wanted = dict(target or {})
    lacking = [name for name in wanted if name not in table.numbers]
    if lacking:
        raise WindtunnelError(
            f"{table.source}: the target gives {lacking[0]}, but the table has no such column of "
            f"numbers; it has {', '.join(table.numbers)}"
        )
    if {"params", "tokens"} <= wanted.keys():
        wanted.setdefault("flops", 6 * wanted["params"] * wanted["tokens"])
    keep, flags = flag_rows(table)
    kept = table.keep(keep)
    canonical = {use.name for use in table.uses}
    return Inspection(
        source=table.source,
        rows=len(table),
        kept=len(kept),
        runs=int(np.unique(kept.groups()).size),
        metric=table.metric,
        columns=tuple(_span(table, kept, use, wanted.get(use.name)) for use in table.uses),
        others={
            name: _distinct(kept, name)
            for name in (*table.numbers, *table.labels)
            if name not in canonical
        },
        flops_ratio=_flops_ratio(kept),
        flags=tuple(flags),
        forms=tuple(_form_fit(form, kept) for form in FORMS.values()),
    )


def _span(table: RunTable, kept: RunTable, use: ColumnUse, target: float | None) -> Span:
    if use.name in table.labels:
        texts = table.labels[use.name]
        return Span(use, None, None, _distinct(kept, use.name), texts.count(""), None, None)
    values = _finite(kept.numbers[use.name])
    empty = int(np.isnan(table.numbers[use.name]).sum())
    if not values.size:
        return Span(use, None, None, 0, empty, target, None)
    low, high = float(values.min()), float(values.max())
    ratio = None if target is None else _beyond(target, low, high)
    return Span(use, low, high, int(np.unique(values).size), empty, target, ratio)


def _beyond(target: float, low: float, high: float) -> float | None:
    if low <= target <= high:
        return 1.0
    edge = high if target > high else low
    ratio = target / edge if edge else math.inf
    return ratio if math.isfinite(ratio) else None


def _distinct(table: RunTable, name: str) -> int:
    if name in table.labels:
        return len(set(table.labels[name]) - {""})
    return int(np.unique(_finite(table.numbers[name])).size)


def _finite(values: Array) -> Array:
    finite: Array = values[np.isfinite(values)]
    return finite


def _flops_ratio(table: RunTable) -> float | None:
    uses = [table.use(name) for name in ("params", "tokens", "flops")]
    if not len(table) or any(use is None or use.heading is None for use in uses):
        return None
    return float(np.median(compute_ratio(table.numbers)))


def _form_fit(form: Form, kept: RunTable) -> FormFit:
    reason = _obstacle(form, kept)
    return FormFit(form.name, form.formula, not reason, reason)


def _obstacle(form: Form, kept: RunTable) -> str:
    """What keeps a form from being fitted; empty where nothing does."""
    # An accuracy is fitted as the error it leaves.
    kind = "error" if kept.metric.kind == "accuracy" else kept.metric.kind
    if kind not in form.metrics:
        return f"predicts {' or '.join(form.metrics)}, not {kept.metric.kind}"
    missing = [name for name in form.inputs if name not in kept.numbers]
    if missing:
        return f"needs {' and '.join(missing)}"
    for name in form.inputs:
        least = max(1, form.least_values.get(name, 1))
        found = _distinct(kept, name)
        if found < least:
            return f"needs {least} values of {name}; there {'is' if found == 1 else 'are'} {found}"
    return ""

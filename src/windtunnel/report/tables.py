"""The report's tables: what the pictures show in numbers, and what they don't."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windtunnel.report.content import AxisTransfer, StudyContent
from windtunnel.report.formatting import (
    NOTHING,
    amount,
    duration,
    factor,
    fixed,
    interval,
    moment,
    scientific,
    significant,
)
from windtunnel.report.markup import Markup, tag

_LARGEST_SLOPES = 5
_LONG_PLAN = 30  # rows; a longer plan starts folded


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and the class of its cells: `number`, `name` or none."""

    heading: str
    kind: str = ""


def content_tables(content: StudyContent) -> list[Markup]:
    """Every table the content has rows for, each in a section of its own."""
    sections = (
        _optima(content),
        _transfer(content),
        _check(content),
        _forecast(content),
        _cost(content),
        _plan(content),
        _definitions("Environment", _environment(content)),
        _definitions("Glossary", content.glossary),
    )
    return [section for section in sections if section is not None]


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first cell in each row is that row's heading; numbers align right."""

    def cell(name: str, column: Column, text: str, **attributes: str) -> Markup:
        return tag(name, text, **({"class_": column.kind} if column.kind else {}), **attributes)

    head = tag("tr", *(cell("th", column, column.heading, scope="col") for column in columns))
    body = [
        tag(
            "tr",
            cell("th", columns[0], row[0], scope="row"),
            *(cell("td", c, text) for c, text in zip(columns[1:], row[1:], strict=True)),
        )
        for row in rows
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")


def _section(title: str, *parts: Markup) -> Markup:
    return tag("section", tag("h2", title), *parts)


def _optima(content: StudyContent) -> Markup | None:
    rows = [
        (
            sweep.rule,
            str(sweep.width),
            str(sweep.depth),
            amount(sweep.units),
            significant(sweep.optimum.lr) if sweep.optimum else NOTHING,
            " to ".join(map(significant, sweep.optimum.ci90)) if sweep.optimum else NOTHING,
            str(len(sweep.points)),
            str(sum(point.loss is None for point in sweep.points)),
        )
        for sweep in content.sweeps
    ]
    if not rows:
        return None
    columns = (
        Column("Rule"),
        Column("Width", "number"),
        Column("Depth", "number"),
        Column(content.unit.capitalize(), "number"),
        Column("Best learning rate", "number"),
        Column("90 % range", "number"),
        Column("Runs", "number"),
        Column("Diverged", "number"),
    )
    return _section("Best learning rates", table(columns, rows))


def _transfer(content: StudyContent) -> Markup | None:
    rows = [
        (
            rule,
            axis.axis,
            axis.verdict,
            fixed(axis.slope, 2, sign=True),
            interval(axis.slope_ci90, 2, sign=True),
            f"{fixed(axis.loss_paid_percent, 2)} %"
            if axis.loss_paid_percent is not None
            else NOTHING,
            _varied(axis),
            _beyond(axis.target_ratio),
            f"{axis.reason} Would settle it: {axis.next_run}" if axis.next_run else axis.reason,
        )
        for rule in content.rules
        for axis in content.transfer.get(rule, ())
    ]
    if not rows:
        return None
    columns = (
        Column("Rule"),
        Column("Axis"),
        Column("Verdict"),
        Column("Drift", "number"),
        Column("90 % range", "number"),
        Column("Loss paid", "number"),
        Column("Varied", "number"),
        Column("Target beyond", "number"),
        Column("Why", "why"),
    )
    words = (
        "Drift is how many doublings the best learning rate moves for each doubling of the axis; "
        "0 is a rate that stays put. Loss paid is the price of keeping the base's best rate."
    )
    return _section("Transfer by axis", tag("p", words), table(columns, rows))


def _beyond(ratio: float | None) -> str:
    if ratio is None:
        return NOTHING
    return "inside" if ratio <= 1 else f"{ratio:.3g} times"


def _varied(axis: AxisTransfer) -> str:
    if not axis.varied:
        return NOTHING
    low, high = min(axis.varied), max(axis.varied)
    return amount(low) if low == high else f"{amount(low)} to {amount(high)}"


def _check(content: StudyContent) -> Markup | None:
    verdicts = []
    for rule in (rule for rule in content.rules if rule in content.check):
        check = content.check[rule]
        rows = [
            (
                slope.module,
                slope.quantity,
                slope.axis,
                str(slope.step),
                fixed(slope.slope, 2, sign=True),
                interval(slope.ci90, 2, sign=True),
            )
            for slope in check.steepest(_LARGEST_SLOPES)
        ]
        columns = (
            Column("Module", "name"),
            Column("Quantity"),
            Column("Axis"),
            Column("Step", "number"),
            Column("Slope", "number"),
            Column("90 % range", "number"),
        )
        verdicts.append(tag("h3", f"{rule}: {check.verdict}"))
        if check.reason:
            verdicts.append(tag("p", check.reason))
        if rows:
            verdicts.append(table(columns, rows))
    if not verdicts:
        return None
    words = (
        f"The {_LARGEST_SLOPES} steepest slopes of log size against log width or depth after the "
        "last step. Updates have to stay near 0, and activations must not grow."
    )
    return _section("Coordinate check", tag("p", words), *verdicts)


def _forecast(content: StudyContent) -> Markup | None:
    rows = []
    verdict = []
    if content.forecast is not None:
        forecast = content.forecast
        reason = f": {forecast.reason}" if forecast.reason else ""
        verdict.append(tag("p", f"Forecast: {forecast.verdict}{reason}"))
        rows += [
            ("Forecast", fixed(forecast.loss)),
            ("90 % range", interval(forecast.ci90)),
            ("Written down at", moment(forecast.made_at) or NOTHING),
        ]
    if content.target is not None:
        target = content.target
        error = fixed(target.error_percent, 2, sign=True)
        rows += [
            ("Target reached", fixed(target.loss)),
            ("Its standard error", fixed(target.loss_se, 4)),
            ("Error", f"{error} %" if target.error_percent is not None else NOTHING),
            ("Inside the range", {True: "yes", False: "no", None: NOTHING}[target.inside]),
            ("Parameters", f"{target.params:,.0f}"),
            (content.unit.capitalize(), f"{target.units:,.0f}"),
        ]
    if content.law is not None:
        rows += [
            (f"Law: {name}", significant(value, 4))
            for name, value in content.law.parameters.items()
        ]
    if not rows:
        return None
    columns = (Column("What"), Column("Value", "number"))
    return _section("Forecast and target", *verdict, table(columns, rows))


def _cost(content: StudyContent) -> Markup | None:
    if not content.cost:
        return None
    rows = [
        (row.what, f"{row.runs:,}", scientific(row.flops, 2), duration(row.seconds))
        for row in content.cost
    ]
    columns = (
        Column("What"),
        Column("Runs", "number"),
        Column("FLOPs", "number"),
        Column("Time", "number"),
    )
    return _section("What it cost", table(columns, rows))


def _plan(content: StudyContent) -> Markup | None:
    if not content.plan:
        return None
    rows = [
        (
            row.name,
            row.role,
            " \u00d7 ".join(map(str, row.shape)) or "scalar",
            factor(row.init),
            factor(row.lr),
            factor(row.weight_decay),
            factor(row.eps),
        )
        for row in content.plan
    ]
    columns = (
        Column("Parameter", "name plan-name"),
        Column("Role"),
        Column("Shape", "number"),
        Column("Init", "number"),
        Column("Learning rate", "number"),
        Column("Weight decay", "number"),
        Column("Epsilon", "number"),
    )
    words = "How every parameter of the target is set, as factors relative to the recipe at base."
    drawn = table(columns, rows)
    if len(rows) > _LONG_PLAN:
        drawn = tag("details", tag("summary", f"{len(rows)} parameters"), drawn)
    return _section("Plan", tag("p", words), drawn)


def _environment(content: StudyContent) -> list[tuple[str, str]]:
    pairs = [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in content.environment.items()
    ]
    if content.seeds:
        pairs.append(("seeds", ", ".join(map(str, content.seeds))))
    return pairs


def _definitions(title: str, pairs: Sequence[tuple[str, str]]) -> Markup | None:
    if not pairs:
        return None
    terms = [part for word, meaning in pairs for part in (tag("dt", word), tag("dd", meaning))]
    return _section(title, tag("dl", *terms))

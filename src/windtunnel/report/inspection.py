"""What a table of runs holds, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from windtunnel.report.formatting import NOTHING, amount, significant

_COUNTS = frozenset(
    [
        "params",
        "tokens",
        "flops",
        "unique_tokens",
        "experts",
        "vocabulary",
        "steps",
        "batch_tokens",
        "seed",
    ]
)
_MOST_OTHERS = 12
_LARGEST_WORD = 1e15  # counts above it read better as powers of ten


def print_inspection(
    inspection: Mapping[str, Any], next_command: str, console: Console | None = None
) -> None:
    """Print which columns were taken, what they cover, what the rules found, what can be fitted.

    Args:
        inspection: `windtunnel.laws.inspect.Inspection.to_json()`.
        next_command: What to type next.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    console.print(Text(_summary(inspection)))
    columns = inspection["columns"]
    _print_lines(console, "Columns", [("+", column["name"], _origin(column)) for column in columns])
    console.print()
    console.print(_spans(columns))
    if inspection["flops_ratio"] is not None:
        ratio = significant(inspection["flops_ratio"])
        console.print(Text(f"flops are {ratio} x 6 x params x tokens in the middle row."))
    if inspection["others"]:
        console.print(Text(f"Further columns: {_others(inspection['others'])}"))
    rows = [
        ("x" if flag["dropped"] else "!", flag["rule"], flag["sentence"])
        for flag in inspection["flags"]
    ]
    _print_lines(console, "Rows", rows or [("+", "no flag", "no rule found anything")])
    _print_lines(console, "Forms these columns allow", _forms(inspection["forms"]))
    console.print()
    console.print(Text.assemble(("Next: ", "bold"), next_command), soft_wrap=True)


def _forms(forms: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str, str]]:
    """A line a form that is allowed, and a line a reason for those that are not."""
    refused: dict[str, list[str]] = {}
    for form in forms:
        if form["allowed"]:
            yield "+", form["name"], form["formula"]
        else:
            refused.setdefault(form["reason"], []).append(form["name"])
    for reason, names in refused.items():
        yield "-", reason, ", ".join(names)


def _summary(inspection: Mapping[str, Any]) -> str:
    metric, rows, kept = inspection["metric"], inspection["rows"], inspection["kept"]
    used = "all used" if kept == rows else f"{kept:,} used"
    runs = "" if inspection["runs"] == kept else f" (from {inspection['runs']:,} runs)"
    return (
        f"{inspection['source']}: {rows:,} rows, {used}{runs}. Predicted: {metric['kind']} "
        f"('{metric['name']}', {metric['unit']})."
    )


def _origin(column: Mapping[str, Any]) -> str:
    if column["heading"] is None:
        return str(column["reason"])
    return f"'{column['heading']}' ({column['unit']}): {column['reason']}"


def _spans(columns: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    with_target = any(column["target"] is not None for column in columns)
    table.add_column("Column", overflow="fold")
    for heading in ("From", "To", "Distinct", "Empty"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Target", "Beyond") if with_target else ():
        table.add_column(heading, justify="right", no_wrap=True)
    for column in columns:
        name = column["name"]
        cells = [name, _number(name, column["low"]), _number(name, column["high"])]
        cells += [f"{column['distinct']:,}", f"{column['empty']:,}"]
        if with_target:
            cells += [_number(name, column["target"]), _beyond(column["ratio"])]
        table.add_row(*map(Text, cells))
    return table


def _number(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    if name in _COUNTS:
        return amount(value) if value < _LARGEST_WORD else f"{value:.3g}".replace("e+", "e")
    return significant(value)


def _beyond(ratio: float | None) -> str:
    if ratio is None:
        return NOTHING
    return "inside" if ratio == 1 else f"{ratio:.3g} x"


def _others(others: Mapping[str, int]) -> str:
    shown = [f"{name} ({count:,})" for name, count in list(others.items())[:_MOST_OTHERS]]
    more = len(others) - len(shown)
    values = " (distinct values in brackets)"
    return ", ".join(shown) + (f" and {more} more" if more else "") + values


def _print_lines(console: Console, title: str, lines: Iterable[tuple[str, str, str]]) -> None:
    console.print(Text(f"\n{title}", style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    for sign, name, words in lines:
        grid.add_row(Text(sign), Text(name, style="bold"), Text(words))
    for column in grid.columns[:2]:
        column.no_wrap = True
    console.print(grid)

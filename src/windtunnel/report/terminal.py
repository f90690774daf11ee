"""What the terminal says: verdicts as lines a person can act on, and plans as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from windtunnel.report.content import Check, PlanRow, StudyContent, Tone
from windtunnel.report.formatting import amount, factor, fixed, interval

_MARKS: dict[Tone, tuple[str, str]] = {
    "good": ("\u2713", "green"),
    "warn": ("!", "yellow"),
    "bad": ("\u2717", "red"),
}
_PLAIN_MARKS: dict[Tone, str] = {"good": "+", "warn": "!", "bad": "x"}


def print_sentences(content: StudyContent, console: Console | None = None) -> None:
    """Print the verdicts, one line each, then the command to type next.

    Args:
        content: What the study found.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    grid = Table.grid(padding=(0, 2, 0, 0))
    for sentence in content.sentences:
        sign, style = _MARKS[sentence.tone]
        if not _can_print(console, sign):
            sign = _PLAIN_MARKS[sentence.tone]
        grid.add_row(Text(sign, style=style), Text(sentence.label, style="bold"), sentence.text)
    for column in grid.columns[:2]:
        column.no_wrap = True
    console.print(grid, markup=False, highlight=False)
    if content.next_command:
        line = Text.assemble(("Next: ", "bold"), content.next_command)
        console.print(line, soft_wrap=True)


def print_plan(plan: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a plan as a table, before anything trains.

    Args:
        plan: `Plan.to_json()`, or what `windtunnel explain --json` prints, where `init_std` stands
            for `init`.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    heading = (
        f"Rule {plan['rule']}, optimizer {plan['optimizer']}: from {_scale(plan['base'])} to "
        f"{_scale(plan['target'])}. Factors are relative to the recipe at base."
    )
    rows = TypeAdapter(tuple[PlanRow, ...]).validate_python(
        [{"init": row.get("init_std"), **row} for row in plan["parameters"]]
    )
    console.print(Text(heading))
    console.print(plan_table(rows))


def plan_table(rows: Iterable[PlanRow]) -> Table:
    """How every parameter is set: factors on init, learning rate, weight decay and epsilon."""
    table = _table(("Parameter", "Role"), ("Shape", "Init", "Rate", "Decay", "Epsilon"))
    for row in rows:
        shape = " x ".join(map(str, row.shape)) or "scalar"
        factors = map(factor, (row.init, row.lr, row.weight_decay, row.eps))
        table.add_row(*map(Text, (row.name, row.role, shape, *factors)))
    return table


def check_table(check: Check, *, rows: int = 10) -> Table:
    """The steepest slopes of a coordinate check, steepest first."""
    table = _table(("Module", "Quantity", "Axis"), ("Step", "Slope", "90 % range"))
    for slope in check.steepest(rows):
        numbers = (
            str(slope.step),
            fixed(slope.slope, 2, sign=True),
            interval(slope.ci90, 2, sign=True),
        )
        table.add_row(*map(Text, (slope.module, slope.quantity, slope.axis, *numbers)))
    return table


def _table(words: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _scale(scale: Mapping[str, Any]) -> str:
    length = f", length {amount(scale['units'])}" if scale.get("units") else ""
    return f"width {scale['width']}, depth {scale['depth']}{length}"


def _can_print(console: Console, sign: str) -> bool:
    try:
        sign.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True

"""What the terminal says of an optimizer's settings: as planned, or held against a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from windtunnel.report.formatting import factor

_TITLES = {"lr": "rate", "weight_decay": "decay", "eps": "epsilon"}


def print_settings(explained: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the values that an optimizer and an initialisation are given.

    Args:
        explained: What `windtunnel explain --recipe --json` prints, one row for blocks alike.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    console.print(Text(f"{_heading(explained)} Values as the optimizer is given them."))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Parameter", "Role"):
        table.add_column(heading, overflow="fold")
    for heading in ("Shape", "Init std", "Rate", "Decay", "Epsilon"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in explained["parameters"]:
        values = (f"{row[key]:.3g}" for key in ("init_std", *_TITLES))
        table.add_row(*map(Text, (row["name"], row["role"], _shape(row), *values)))
    console.print(table)


def print_differences(comparison: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what present settings treat otherwise than a plan, what matters most first.

    Args:
        comparison: What `windtunnel explain --against groups.json --json` prints.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    at_base = ", ".join(
        f"{_TITLES[key]} {value:.3g}"
        for key, value in comparison["base_values"].items()
        if value is not None
    )
    console.print(Text(f"{_heading(comparison)} At base: {at_base}."))
    differences = comparison["differences"]
    if not differences:
        console.print(Text(f"All {comparison['compared']} parameters are set as the plan says."))
        return
    count = sum(row["count"] for row in differences)
    console.print(Text(f"{count} of {comparison['compared']} parameters are set otherwise:"))
    for row in differences:
        off = [key for key in _TITLES if row[key]["octaves"] != 0]
        values = "; ".join(_now_and_planned(_TITLES[key], row[key]) for key in off)
        line = Text.assemble("  ", (row["name"], "bold"), f" ({row['role']}): {values}")
        console.print(line, soft_wrap=True)


def _heading(explained: Mapping[str, Any]) -> str:
    base, target = explained["base"], explained["target"]
    return (
        f"Rule {explained['rule']}, optimizer {explained['optimizer']}: from width "
        f"{base['width']}, depth {base['depth']} to width {target['width']}, depth "
        f"{target['depth']}."
    )


def _now_and_planned(title: str, quantity: Mapping[str, Any]) -> str:
    present, planned = f"{quantity['present']:.3g}", f"{quantity['planned']:.3g}"
    octaves = quantity["octaves"]
    if octaves is None:  # one of the two is zero
        return f"{title} {present}, planned {planned}"
    times = f"{factor(2.0**octaves)} {'times' if octaves > 0 else 'of'}"
    return f"{title} {present}, {times} the planned {planned}"


def _shape(row: Mapping[str, Any]) -> str:
    return " x ".join(map(str, row["shape"])) or "scalar"

"""A study's runs as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from windtunnel.report.formatting import NOTHING, amount, duration, fixed, significant

_TEXTS = ("Run", "State", "Rule")
_NUMBERS = ("Width", "Length", "Rate", "Seed", "Loss", "Time")


def print_runs(runs: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print one line a run.

    Args:
        runs: As `windtunnel.studies.list_runs` gives them.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _TEXTS:
        table.add_column(heading)
    for heading in _NUMBERS:
        table.add_column(heading, justify="right")
    table.add_column("Why", overflow="fold")
    for run in runs:
        running = run["progress"] is not None and run["state"] == "running"
        state = f"{run['state']} {100 * run['progress']:.0f} %" if running else run["state"]
        cells = (
            str(run["number"]),
            state,
            run["rule"],
            str(run["width"]),
            amount(run["units"]),
            significant(run["lr"]),
            str(run["seed"]),
            NOTHING if run["loss"] is None else fixed(run["loss"]),
            NOTHING if not run["seconds"] else duration(run["seconds"]),
            run["error"] or run["purpose"],
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    done = sum(run["state"] in ("finished", "diverged") for run in runs)
    flops = sum(run["flops"] or 0.0 for run in runs)
    console.print(Text(f"{done} of {len(runs)} runs have a result; they took {flops:.3g} FLOPs."))

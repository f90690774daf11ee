"""The verdict on a table of tuning runs, in words."""

from __future__ import annotations

from windtunnel.laws.sweeps.judge import TableTransfer
from windtunnel.laws.sweeps.table import TuningTable
from windtunnel.laws.transfer_axes import axis_words


def table_words(found: TableTransfer) -> list[str]:
    """What was read, one sentence an axis as a study says it, and what else is to be known."""
    runs = found.table.runs
    diverged = sum(run.loss is None for run in runs)
    failed = f", {diverged} of them diverged" if diverged else ""
    return [
        f"{found.table.source}: {len(runs)} runs at {len(found.sweeps)} scales{failed}.",
        *column_words(found.table),
        *(axis_words(axis.to_json()) for axis in found.axes),
        *found.remarks,
    ]


def column_words(table: TuningTable) -> list[str]:
    """The columns that were guessed, so that a wrong guess is seen."""
    guessed = [use for use in table.uses if not use.given]
    if not guessed:
        return []
    listed = ", ".join(f"{use.name} = '{use.heading}'" for use in guessed)
    return [f"Guessed columns: {listed}. Correct one with --columns NAME=HEADING."]

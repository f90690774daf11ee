"""Arguments that the commands on tables of runs share, and how they read the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from windtunnel.laws.table import RunTable

RunsPath = Annotated[
    Path,
    typer.Argument(metavar="RUNS.csv", help="One row a run: CSV, TSV, W&B export, JSON lines."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=HEADING",
        help='Which column is what, where the guess is wrong: loss="C4 loss", '
        'params="size (M)". May be given several times.',
    ),
]
Where = Annotated[
    str | None, typer.Option(help='Rows to use, such as "loss<3.44 and data_mix==c4".')
]
Target = Annotated[
    str | None,
    typer.Option(metavar="NAME=VALUE,...", help="Such as params=7e9,tokens=2T."),
]


def read_runs(path: Path, columns: list[str] | None, where: str | None) -> RunTable:
    """The table that these arguments name."""
    from windtunnel.laws.reading import parse_columns, read_table

    return read_table(path, columns=parse_columns(columns or []), where=where)

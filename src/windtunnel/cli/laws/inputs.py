"""What the commands about laws share: their arguments, and how tables and fits are opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.laws.law import Law
    from windtunnel.laws.table import RunTable

RunsPath = Annotated[Path, typer.Argument(metavar="RUNS.csv", help="A table of finished runs.")]
FitPath = Annotated[
    Path, typer.Argument(metavar="FIT.json", help="What `windtunnel laws fit --json` printed.")
]
Where = Annotated[
    str | None, typer.Option(metavar="WHERE", help='Rows to take, such as "loss<3.44".')
]
Columns = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=HEADING", help='Which column is what: loss="C4 loss".'),
]


def open_runs(path: Path, columns: list[str] | None, where: str | None) -> RunTable:
    """Read a table of runs."""
    from windtunnel.laws.reading.file import read_table

    return read_table(path, columns=_named(columns), where=where)


def open_law(path: Path) -> Law:
    """Read a fit."""
    from windtunnel.laws.law import law_from_json

    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WindtunnelError(
            f"{path}: {error.strerror}; make it with `windtunnel laws fit RUNS.csv --json > {path}`"
        ) from error
    except ValueError as error:
        raise WindtunnelError(
            f"{path}: this is no JSON; make it with `windtunnel laws fit RUNS.csv --json > {path}`"
        ) from error
    return law_from_json(value)


def _named(columns: list[str] | None) -> dict[str, str]:
    named = {}
    for part in columns or ():
        for pair in part.split(","):
            name, equals, heading = pair.partition("=")
            if not (equals and name.strip() and heading.strip()):
                raise WindtunnelError(
                    f"--columns {part}: '{pair}' is no NAME=HEADING, such as loss=\"C4 loss\""
                )
            named[name.strip()] = heading.strip().strip("\"'")
    return named

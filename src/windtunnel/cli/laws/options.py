"""Arguments that the commands about laws share, and how they open tables and fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.laws.law import Law
    from windtunnel.laws.table import RunTable

FitPath = Annotated[
    Path, typer.Argument(metavar="FIT.json", help="What `windtunnel laws fit --json` printed.")
]

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


def read_amount(flag: str, text: str | None) -> float | None:
    """An amount such as 2T, where it is given."""
    return None if text is None else read_number(flag, text)


def read_number(flag: str, text: str) -> float:
    """An amount; what is wrong with it is said with the flag's name."""
    from windtunnel.laws.quantity import parse_quantity

    try:
        return parse_quantity(text).value
    except WindtunnelError as error:
        raise WindtunnelError(f"{flag}: {error}") from error

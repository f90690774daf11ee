"""Commands about runs that were paid for elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from windtunnel.cli.output import AsJson, StudyPath, end_with, open_study, say, show
from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.laws.reading.raw import RawTable

Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=HEADING,...",
        help="Which column of a table is what: width=dim,lr=opt.lr,loss=val.",
    ),
]
Where = Annotated[
    str | None, typer.Option(help='Rows of a table to use, such as "optimizer==adamw".')
]


def transfer(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|RUNS.csv", help="A study, or a table of runs (optuna:URL too)."
        ),
    ],
    columns: Columns = None,
    where: Where = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME=VALUE,...", help="The size in mind: width=4096,tokens=2T."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.svg", help="Draw a table's sweeps there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Does the optimum stay put along each axis? How far does it drift?"""
    if is_table(study):
        _transfer_of_table(study, columns, where, target, plot, as_json)
        return
    given = {"--columns": columns, "--where": where, "--target": target, "--plot": plot}
    for option, value in given.items():
        if value is not None:
            raise WindtunnelError(
                f"transfer: {option} is for a table of runs, and {study} is a study"
            )
    from windtunnel.studies.transfer import transfer as run_transfer
    from windtunnel.studies.words import transfer_sentences

    outcome = run_transfer(open_study(Path(study), trains=False))
    say(outcome, transfer_sentences(outcome), as_json)
    end_with(outcome["verdict"])


def verify(
    study: StudyPath,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN.csv", help="Metrics of a target trained elsewhere."),
    ] = None,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Was the forecast made before the target ran, and did the target land inside its range?"""
    from windtunnel.laws.sweeps.columns import parse_sweep_columns
    from windtunnel.studies.trained_run import RUN_COLUMNS
    from windtunnel.studies.verify import verify as run_verify
    from windtunnel.studies.verify import verify_sentences

    opened = open_study(study, trains=False)
    outcome = run_verify(opened, run, parse_sweep_columns(columns or [], RUN_COLUMNS))
    say(outcome, verify_sentences(outcome, opened), as_json)
    end_with(outcome["verdict"])


class _ListByDefault(TyperGroup):
    """`windtunnel runs STUDY` lists; what else may be done with runs has a name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before a study's folder."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["list", *args]
        return super().parse_args(ctx, args)


runs = typer.Typer(
    name="runs", cls=_ListByDefault, help="The runs of a study.", no_args_is_help=True
)


@runs.command("list")
def list_(study: StudyPath, as_json: AsJson = False) -> None:
    """List a study's runs; `windtunnel runs STUDY` does the same."""
    from windtunnel.report.runs import print_runs
    from windtunnel.studies.list_runs import list_runs

    found = list_runs(open_study(study, trains=False))
    if as_json:
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        print_runs(found)


@runs.command("import")
def import_(
    study: StudyPath,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUNS.csv|optuna:URL",
            help="A table of finished runs (CSV, W&B export, JSON lines) or an Optuna storage.",
        ),
    ],
    columns: Columns = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Make runs that are already paid for finished runs of a study; again adds nothing."""
    from windtunnel.laws.sweeps.columns import parse_sweep_columns
    from windtunnel.laws.sweeps.table import read_tuning_table
    from windtunnel.studies.import_runs import import_runs, import_sentences

    opened = open_study(study, trains=False)
    given = parse_sweep_columns(columns or [])
    outcome = import_runs(opened, read_tuning_table(read_rows(source), given, where))
    say(outcome, import_sentences(outcome, opened), as_json)


@runs.command("export")
def export(
    study: StudyPath,
    address: Annotated[
        str,
        typer.Argument(metavar="optuna:URL", help="Such as optuna:sqlite:///optuna.db."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show a study's runs in optuna-dashboard; again adds those that have ended since."""
    from windtunnel.studies.export_runs import export_to_optuna

    outcome = export_to_optuna(open_study(study, trains=False), address)
    url = outcome["storage"]
    words = (
        f"{outcome['added']} runs added to '{outcome['name']}' in {url}. Next: optuna-dashboard "
        f"{url}"
    )
    show(outcome, words, as_json)


def is_table(name: str) -> bool:
    """Whether an argument is a table of runs and not a study: a study is a folder or its yaml."""
    from windtunnel.search.optuna_adapter.address import is_optuna

    path = Path(name)
    return is_optuna(name) or (path.suffix not in (".yaml", ".yml") and path.is_file())


def read_rows(source: str) -> RawTable:
    """The cells of a table of runs, or the trials of an Optuna storage."""
    from windtunnel.search.optuna_adapter.address import is_optuna

    if is_optuna(source):
        from windtunnel.search.optuna_adapter.read_trials import read_trials

        return read_trials(source)
    from windtunnel.laws.reading.file import read_raw

    return read_raw(source)


def _transfer_of_table(
    source: str,
    columns: list[str] | None,
    where: str | None,
    target: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    from windtunnel.laws.quantity import parse_point
    from windtunnel.laws.sweeps.columns import parse_sweep_columns
    from windtunnel.laws.sweeps.judge import judge_table
    from windtunnel.laws.sweeps.table import read_tuning_table
    from windtunnel.laws.sweeps.words import table_words

    table = read_tuning_table(read_rows(source), parse_sweep_columns(columns or []), where)
    found = judge_table(table, None if target is None else parse_point(target))
    if plot is not None:
        from windtunnel.report.figures.table_rates import draw_table_rates

        draw_table_rates(found, plot)
    outcome = found.to_json()
    show(outcome, "\n".join(table_words(found)), as_json)
    end_with(outcome["verdict"])

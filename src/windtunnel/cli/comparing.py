"""Which of several methods is better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windtunnel.cli.imports import Columns, Where, is_table
from windtunnel.cli.output import AsJson, Workers, end_with, progress_bar, show
from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.comparing.compare_methods import MethodComparison


def compare(
    runs: Annotated[
        str,
        typer.Argument(
            metavar="FILE.yaml|RUNS.csv",
            help="What to tune, train and compare; or finished runs of several methods, one a "
            "row: CSV, W&B export, JSON lines.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(help="Of RUNS.csv: the method that the others are held against."),
    ] = None,
    columns: Columns = None,
    where: Where = None,
    effect: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT", help="Of RUNS.csv: the difference that matters, in % of the loss."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of RUNS.csv: the size in mind: params=7B, width=4096."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Of FILE.yaml: where it is carried out; by default a folder beside it."),
    ] = None,
    workers: Workers = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw the figures there, as SVG and PNG."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which method is better, by how much, how sure, and does it hold as the model grows?"""
    from windtunnel.comparing.words import comparison_words

    trained: Path | None = None
    if Path(runs).suffix in (".yaml", ".yml"):
        of_table = {
            "--baseline": baseline,
            "--columns": columns,
            "--where": where,
            "--effect": effect,
            "--target": target,
        }
        for option, value in of_table.items():
            if value:
                raise WindtunnelError(f"{option}: is for a table of runs; {runs} says it itself")
        trained = folder or Path(runs).with_suffix("")
        found = _carry_out(Path(runs), trained, workers, as_json)
    elif folder is not None or workers is not None:
        option = "--folder" if folder is not None else "--workers"
        raise WindtunnelError(f"{option}: {runs} is a table of finished runs; nothing is trained")
    else:
        found = _read(runs, baseline, columns, where, effect or "0.5", target)
    if plot is not None:
        _draw(found, plot)
    words = comparison_words(found)
    if trained is not None:
        words.append(f"The page: {trained / 'comparison.html'}")
    show(found.to_json(), "\n".join(words), as_json)
    end_with(found.overall)


def _read(
    runs: str,
    baseline: str | None,
    columns: list[str] | None,
    where: str | None,
    effect: str,
    target: str | None,
) -> MethodComparison:
    from windtunnel.comparing.columns import COLUMNS
    from windtunnel.comparing.compare_methods import compare_methods
    from windtunnel.comparing.reading import read_method_runs
    from windtunnel.laws.reading.file import read_raw
    from windtunnel.laws.sweeps.columns import parse_sweep_columns

    if not is_table(runs):
        raise WindtunnelError(
            f"compare: {runs} is no table of finished runs; give a CSV file with one row a run, "
            "or a comparison's YAML file"
        )
    if baseline is None:
        raise WindtunnelError(
            "--baseline: missing; name the method that the others are held against"
        )
    along, size = _target(target)
    given = parse_sweep_columns(columns or [], COLUMNS)
    table = read_method_runs(read_raw(runs), given, where)
    return compare_methods(table, baseline, effect=_effect(effect), along=along, target=size)


def _carry_out(path: Path, folder: Path, workers: int | None, as_json: bool) -> MethodComparison:
    from windtunnel.studies.comparison.carry_out import carry_out_comparison
    from windtunnel.studies.comparison.spec import load_comparison

    spec = load_comparison(path)
    with progress_bar(as_json) as progress:
        return carry_out_comparison(spec, folder, progress, workers=workers)


def _effect(text: str) -> float:
    from windtunnel.laws.quantity import parse_quantity

    try:
        percent = parse_quantity(text.replace("%", "")).value
    except WindtunnelError as error:
        raise WindtunnelError(f"--effect: {error}") from error
    if not 0 < percent < 100:
        raise WindtunnelError(f"--effect: {text} is not between 0 and 100 percent of the loss")
    return percent / 100


def _target(text: str | None) -> tuple[str | None, float | None]:
    from windtunnel.laws.quantity import parse_point

    if text is None:
        return None, None
    point = parse_point(text)
    if len(point) != 1:
        raise WindtunnelError(
            f"--target: the speed-up is foretold along one axis, and '{text}' has {len(point)}; "
            "give one, such as params=7B"
        )
    ((axis, value),) = point.items()
    return axis, value


def _draw(found: MethodComparison, folder: Path) -> None:
    from windtunnel.report.figures.comparison import comparison_figures
    from windtunnel.report.figures.save import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in comparison_figures(found).items():
        for ending in ("svg", "png"):
            save_figure(figure, folder / f"{name}.{ending}")

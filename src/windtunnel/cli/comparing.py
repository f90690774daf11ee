"""Which of several methods is better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windtunnel.cli.imports import Columns, Where, is_table
from windtunnel.cli.output import AsJson, end_with, show
from windtunnel.errors import WindtunnelError

if TYPE_CHECKING:
    from windtunnel.comparing.compare_methods import MethodComparison


def compare(
    runs: Annotated[
        str,
        typer.Argument(
            metavar="RUNS.csv",
            help="Finished runs of several methods, one a row: CSV, W&B export, JSON lines.",
        ),
    ],
    baseline: Annotated[str, typer.Option(help="The method that the others are held against.")],
    columns: Columns = None,
    where: Where = None,
    effect: Annotated[
        str, typer.Option(metavar="PERCENT", help="Difference that matters, in % of the loss.")
    ] = "0.5",
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME=VALUE", help="The size in mind: params=7B, width=4096."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw the figures there, as SVG and PNG."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which method is better, by how much, how sure, and does it hold as the model grows?"""
    from windtunnel.comparing.columns import COLUMNS
    from windtunnel.comparing.compare_methods import compare_methods
    from windtunnel.comparing.reading import read_method_runs
    from windtunnel.comparing.words import comparison_words
    from windtunnel.laws.reading.file import read_raw
    from windtunnel.laws.sweeps.columns import parse_sweep_columns

    if not is_table(runs):
        raise WindtunnelError(
            f"compare: {runs} is no table of finished runs; give a CSV file with one row a run"
        )
    along, size = _target(target)
    given = parse_sweep_columns(columns or [], COLUMNS)
    found = compare_methods(
        read_method_runs(read_raw(runs), given, where),
        baseline,
        effect=_effect(effect),
        along=along,
        target=size,
    )
    if plot is not None:
        _draw(found, plot)
    show(found.to_json(), "\n".join(comparison_words(found)), as_json)
    end_with(found.overall)


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

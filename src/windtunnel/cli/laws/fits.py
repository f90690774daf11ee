"""Commands that fit a law to a table of runs, ask it, and test it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from windtunnel.cli.laws.options import Columns, FitPath, RunsPath, Where, open_law, read_runs
from windtunnel.cli.output import AsJson, end_with, show

FormName = Annotated[
    str, typer.Option(metavar="NAME", help="A form's name; auto lets back-tests choose.")
]


def fit(
    runs: RunsPath,
    form: FormName = "auto",
    where: Where = None,
    columns: Columns = None,
    seed_noise: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="How much losses scatter from seed to seed, if measured: 0.01 is 1 %.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.svg", help="Draw loss against compute there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the law that back-tests inside the table choose; the other commands read its --json."""
    from windtunnel.laws.fit_law import fit_law
    from windtunnel.laws.profile import profile_parameters
    from windtunnel.laws.words import fit_words

    law = fit_law(read_runs(runs, columns, where), form=form, seed_noise=seed_noise)
    if plot is not None:
        from windtunnel.report.figures.frontier import draw_frontier

        draw_frontier(law, plot)
    if as_json:
        profile = {each.name: list(each.ci90) for each in profile_parameters(law)}
        show({**law.to_json(), "profile": profile}, "", as_json)
    else:
        show({}, "\n".join(fit_words(law, str(runs))), as_json)


def forecast(
    fit: FitPath,
    params: Annotated[str | None, typer.Option(help="Parameters of the target: 7e9, 7B.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Its training tokens: 2e12, 2T.")] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="POINT", help="Other inputs of the law: experts=64,steps=1e5."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Foretell what one run at a target will reach, with its range and whether to believe it."""
    from windtunnel.laws.deciding.outlook import outlook
    from windtunnel.laws.quantity import parse_point
    from windtunnel.laws.words import outlook_words

    parts = [f"params={params}" if params else "", f"tokens={tokens}" if tokens else "", at or ""]
    law = open_law(fit)
    found = outlook(law, parse_point(",".join(part for part in parts if part)))
    show(found.to_json(), "\n".join(outlook_words(law, found)), as_json)
    end_with(found.forecast.verdict)


def backtest(
    runs: RunsPath,
    fit: Annotated[str, typer.Option(metavar="WHERE", help='Rows to fit, such as "flops<1e20".')],
    predict: Annotated[
        str, typer.Option(metavar="WHERE", help='Rows to foretell, such as "flops>=1e21".')
    ],
    form: FormName = "auto",
    where: Where = None,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Fit some of a table's rows, foretell others, and say how that went."""
    from windtunnel.laws.held_out import foretell
    from windtunnel.laws.where import rows_where
    from windtunnel.laws.words import held_out_words

    table = read_runs(runs, columns, where)
    fitted, foretold = (
        table.keep(rows_where(table, text, option=option))
        for text, option in ((fit, "--fit"), (predict, "--predict"))
    )
    found = foretell(fitted, foretold, form=form)
    show(found.to_json(), "\n".join(held_out_words(found)), as_json)
    end_with(found.verdict)

"""Commands that fit laws to a table of runs; none of them needs torch."""

from __future__ import annotations

import typer

from windtunnel.cli.laws import deciding, fits, memo
from windtunnel.cli.laws.inspect import inspect

app = typer.Typer(
    help="Fit scaling laws to a table of runs, forecast with ranges, decide. Needs no torch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(inspect)
app.command()(fits.fit)
app.command()(fits.forecast)
app.command()(fits.backtest)
app.command()(deciding.plan)
app.command("next")(deciding.next_)
app.command()(deciding.compare)
app.command()(memo.report)

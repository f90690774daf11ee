"""What a fit, a forecast and a back-test say in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.laws.candidates import ALL_ROWS, NO_PRIOR
from windtunnel.laws.law import Law

if TYPE_CHECKING:
    from windtunnel.laws.deciding.outlook import Outlook
    from windtunnel.laws.held_out import HeldOut


def fit_words(law: Law, source: str) -> list[str]:
    """The law, how sure it is, what was used and why, and what to type next.

    Args:
        law: The fitted law.
        source: Path of the table.
    """
    summary = law.summary
    values = ", ".join(
        f"{name} {value:.4g} ({low:.4g} to {high:.4g})"
        for (name, value), (low, high) in zip(
            summary["params"].items(), summary["ci90"].values(), strict=True
        )
    )
    lines = [f"Law        {summary['formula']}", f"           {values}; 90 % ranges"]
    tested = summary["backtest"]
    how = "" if summary["prior"] == NO_PRIOR else f", with {summary['prior']} exponents as a prior"
    rows = "" if summary["rows"] == ALL_ROWS else f", {summary['rows']} rows"
    if tested["folds"]:
        lines.append(
            f"Chosen     of {len(summary['candidates'])} by back-tests inside the table{how}"
            f"{rows}: larger runs foretold from smaller ones {tested['folds']} times, off by "
            f"{100 * tested['mean_abs_rel_error']:.2f} % on average"
        )
    else:
        lines.append(
            f"Chosen     without a back-test{how}: too few sizes to foretell larger from smaller"
        )
    if not tested["checked"]:
        lines.append(
            f"Ranges     cannot be checked: {tested['groups']} runs were foretold and 9 are needed"
        )
    lines.append(f"Rows       {summary['n_used']} used")
    lines += [f"           {flag['rule']}: {flag['sentence']}" for flag in summary["flags"]]
    if summary["at_bounds"]:
        lines.append(f"Not fixed  by these rows: {', '.join(summary['at_bounds'])}")
    lines.append(
        f"Next       windtunnel laws fit {source} --json > fit.json, then "
        f"windtunnel laws forecast fit.json {_arguments(law)}"
    )
    return lines


def outlook_words(law: Law, found: Outlook) -> list[str]:
    """The forecast, its verdict, and the run that would help most."""
    said = found.forecast
    low, high = said.ci90
    where = ", ".join(f"{axis.axis} {axis.target:.4g}" for axis in said.axes)
    lines = [
        f"Forecast   {law.metric} {said.value:.4g} at {where} (90 % range {low:.4g} to {high:.4g})",
        f"Verdict    {said.verdict}: {said.reason}",
    ]
    for axis in said.axes:
        beyond = f", {axis.ratio:.3g} times beyond" if axis.ratio > 1 else ", inside"
        lines.append(
            f"           {axis.axis} varied {axis.varied[0]:.3g} to {axis.varied[1]:.3g}{beyond}"
        )
    if found.next_run is not None:
        lines.append(f"Next       {found.next_run.sentence}")
    return lines


def held_out_words(found: HeldOut) -> list[str]:
    """Errors and ranges of a back-test, and its worst rows."""
    errors, card = found.errors, found.to_json()
    lines = [
        f"Fitted     {card['n_fitted']} rows, {found.law.summary['formula']}",
        f"Foretold   {card['n']} rows: off by {100 * card['mean_abs_rel_error']:.2f} % on average, "
        f"{100 * card['max_abs_rel_error']:.1f} % at most, bias {100 * card['bias']:+.2f} %",
        f"Ranges     {100 * card['coverage90']:.0f} % of the rows lie within their 90 % ranges of "
        f"+-{100 * card['halfwidth90']:.1f} % (median)",
        f"Verdict    {found.verdict}: {found.reason}",
    ]
    worst = np.argsort(-np.abs(errors))[:3]
    lines += [
        f"           line {int(found.foretold.lines[row])}: measured "
        f"{found.foretold.loss[row]:.4g}, foretold {found.forecasts[row].value:.4g} "
        f"({100 * errors[row]:+.1f} %)"
        for row in worst
    ]
    return lines


def _arguments(law: Law) -> str:
    named = [name for name in law.inputs if name in ("params", "tokens")]
    others = [name for name in law.inputs if name not in named]
    parts = [f"--{name} ..." for name in named]
    return " ".join(parts + ([f"--at {','.join(f'{n}=...' for n in others)}"] if others else []))

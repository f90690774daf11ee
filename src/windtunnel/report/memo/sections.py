"""The memo below its first paragraph: verdict, plan and law in words and tables."""

from __future__ import annotations

import math

from windtunnel.laws.deciding.plan import Plan
from windtunnel.laws.folds import COMPUTE
from windtunnel.laws.forecasting import LawForecast
from windtunnel.laws.law import Law
from windtunnel.report.formatting import NOTHING, fixed, quantity, significant
from windtunnel.report.markup import Markup, tag
from windtunnel.report.memo.findings import Findings
from windtunnel.report.memo.phrases import loss_decimals, plain, run_words, with_range
from windtunnel.report.tables import Column, table


def section(title: str, *parts: Markup) -> Markup:
    """A heading and what stands below it."""
    return tag("section", tag("h2", title), *parts)


def verdict_section(found: Findings) -> Markup:
    """How far target and plan lie beyond the runs, axis by axis, and whether to believe it."""
    parts = [
        *_judged("The target", found.target.forecast, found.law),
    ]
    if found.planned is not None:
        parts += _judged("The plan", found.planned.forecast, found.law)
    return section("Can it be believed?", *parts)


def _judged(name: str, forecast: LawForecast, law: Law) -> list[Markup]:
    where = run_words({axis.axis: axis.target for axis in forecast.axes})
    low, high = forecast.ci90
    digits = loss_decimals(low, high)
    said = (
        ""
        if forecast.verdict == "cannot say"
        else f"{law.metric} {forecast.value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}); "
    )
    reason = plain(forecast.reason)
    columns = [
        Column("Axis"),
        Column("Runs from", "number"),
        Column("to", "number"),
        Column("Values", "number"),
        Column(name.removeprefix("The ").capitalize(), "number"),
        Column("Beyond", "number"),
        Column("Verdict", "why"),
    ]
    rows = [
        (
            axis.axis,
            quantity(axis.varied[0]),
            quantity(axis.varied[1]),
            f"{axis.values:,}",
            quantity(axis.target),
            "inside" if axis.ratio == 1 else f"{quantity(axis.ratio)} times",
            axis.verdict if axis.verdict == "ok" else f"{axis.verdict}: {axis.reason}",
        )
        for axis in forecast.axes
    ]
    return [
        tag("h3", f"{name}: {where}"),
        tag(
            "p", tag("b", f"{_capital(forecast.verdict)}:"), f" {said}{reason}. {_parts(forecast)}"
        ),
        table(columns, rows),
    ]


def _parts(forecast: LawForecast) -> str:
    """Where the range comes from, as shares of its square."""
    squares = {name: value**2 for name, value in forecast.spread.items()}
    total = sum(squares.values())
    if not total > 0:
        return ""
    words = {
        "fit": "what the runs leave open of the law\u2019s parameters",
        "drift": "how far the form may be off that far beyond the runs",
        "noise": "one run\u2019s own noise",
    }
    shares = [
        f"{words[name]} ({100 * square / total:.0f} %)"
        for name, square in sorted(squares.items(), key=lambda pair: -pair[1])
    ]
    return f"Where the range comes from: {', '.join(shares)}."


def plan_section(plan: Plan) -> Markup:
    """How much the split matters, other sizes, serving and what is in the way."""
    split = plan.allocation
    low, high = split.valley[0.005]
    said = [
        f"Sizes from {quantity(low)} to {quantity(high)} parameters come within 0.5 % of the "
        "best loss at the same compute, so choose among them by what serving costs.",
    ]
    if plan.serving is not None and plan.serving.saving is not None:
        saving = plan.serving.saving
        said.append(
            f"With serving counted, train {with_range(plan.serving.params, 'parameters')} "
            f"on {with_range(plan.serving.tokens, 'tokens')}: the same loss for "
            f"{100 * saving.value:.2g} % ({100 * saving.ci90[0]:.2g} to "
            f"{100 * saving.ci90[1]:.2g} %) less compute over training and serving."
        )
    said += [f"{_capital(each)}." for each in (*split.reasons, *plan.limits.sentences)]
    columns = [
        Column("Size"),
        Column("Parameters", "number"),
        Column("Tokens", "number"),
        Column("Tokens a parameter", "number"),
        Column("Loss against the plan's", "number"),
    ]
    rows = [
        (
            "the plan",
            with_range(split.params),
            with_range(split.tokens),
            with_range(split.tokens_per_param),
            NOTHING,
        )
    ]
    rows += [
        (
            f"{each.times:g} times",
            quantity(each.params),
            quantity(each.tokens),
            quantity(each.tokens / each.params),
            f"{_percent(each.loss_change.value)} ({_percent(each.loss_change.ci90[0])} to "
            f"{_percent(each.loss_change.ci90[1])})",
        )
        for each in plan.alternatives
    ]
    return section("The plan", *(tag("p", each) for each in said), table(columns, rows))


def law_section(found: Findings) -> Markup:
    """The law's parameters with both their ranges."""
    law, summary = found.law, found.law.summary
    profiles = {each.name: each.ci90 for each in found.profiles}
    prior = summary["prior"]
    believed = (
        ""
        if prior == "none"
        else f" A weak prior on the exponents from published fits, \u2018{prior}\u2019, is in it."
    )
    rows = [
        (
            name,
            significant(value, 4),
            " to ".join(significant(end, 4) for end in summary["ci90"][name]),
            _ends(profiles[name]) if name in profiles else NOTHING,
        )
        for name, value in summary["params"].items()
    ]
    columns = [
        Column("Parameter"),
        Column("Fitted", "number"),
        Column("90 % range of the refits", "number"),
        Column("90 % range of the profile", "number"),
    ]
    said = [
        f"The form is {summary['form']} ({law.fitted.form.source}): {summary['formula']}, with "
        f"N, D and C for parameters, tokens and FLOPs, in the units of the table.{believed}"
    ]
    if summary["at_bounds"]:
        said.append(f"The rows do not fix {', '.join(summary['at_bounds'])}.")
    if summary["floorless"]:
        said.append("The rows alone show no floor under the loss.")
    return section("The law", *(tag("p", each) for each in said), table(columns, rows))


def candidates_section(found: Findings) -> Markup:
    """What the law was chosen from."""
    columns = [
        Column("Form"),
        Column("Prior"),
        Column("Rows"),
        Column("Off in back-tests", "number"),
        Column("Chosen"),
    ]
    rows = [
        (
            each["form"],
            each["prior"],
            each["rows"],
            f"{100 * each['mean_abs_rel_error']:.2f} %"
            if math.isfinite(each["mean_abs_rel_error"])
            else NOTHING,
            "yes" if each["chosen"] else "",
        )
        for each in found.law.summary["candidates"]
    ]
    words = (
        "Each foretold the larger runs from the smaller ones; the errors are geometric means over "
        "the folds. A form with more parameters is taken only if it is better by 30 %."
    )
    return section("What it was chosen from", tag("p", words), table(columns, rows))


def backtest_section(found: Findings) -> Markup:
    """Fold by fold, what the chosen candidate said of larger runs."""
    card = found.law.summary["backtest"]
    if not card["folds"]:
        words = "None: the runs have too few sizes to foretell larger ones from smaller ones."
        return section("Back-tests", tag("p", words))
    checked = (
        f"{100 * card['coverage90']:.0f} % of the runs foretold lie within their 90 % ranges"
        if card["checked"]
        else f"with {card['groups']} runs foretold, whether the ranges hold cannot be checked"
    )
    words = (
        f"{card['folds']} times a law was fitted to the smaller runs and asked for the larger "
        f"ones: off by {100 * card['mean_abs_rel_error']:.2f} % on average and "
        f"{100 * card['max_abs_rel_error']:.1f} % at most; {checked}."
    )
    columns = [
        Column("Cut along"),
        Column("Fitted up to", "number"),
        Column("Runs foretold", "number"),
        Column("Off by", "number"),
        Column("Bias", "number"),
        Column("Beyond the fit", "number"),
    ]
    of_both = set(found.law.inputs) == {"params", "tokens"}
    compute = "compute (FLOPs)" if of_both else "all inputs, multiplied"
    rows = [
        (
            compute if fold["axis"] == COMPUTE else fold["axis"],
            quantity(fold["fitted_up_to"] * (6 if of_both and fold["axis"] == COMPUTE else 1)),
            f"{fold['foretold']:,}",
            f"{100 * fold['mean_abs_rel_error']:.2f} %",
            f"{fixed(100 * fold['bias'], 2, sign=True)} %",
            f"{quantity(math.exp(fold['distance']), 2)} times",
        )
        for fold in card["by_fold"]
    ]
    return section("Back-tests", tag("p", words), table(columns, rows))


def flags_section(found: Findings) -> Markup:
    """What the rules say of the rows."""
    flags = found.law.summary["flags"]
    if not flags:
        return section("Rows", tag("p", "No rule found anything to say of the rows."))
    columns = [Column("Rule"), Column("What it found", "why")]
    return section("Rows", table(columns, [(flag["rule"], flag["sentence"]) for flag in flags]))


def _ends(ends: tuple[float | None, float | None]) -> str:
    low, high = ends
    if low is None and high is None:
        return "no end found"
    if low is None:
        return f"up to {significant(high, 4)}"
    if high is None:
        return f"from {significant(low, 4)}"
    return f"{significant(low, 4)} to {significant(high, 4)}"


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 2, sign=True)} %"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

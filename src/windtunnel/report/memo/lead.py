"""The memo's first paragraph: all that a reader in a hurry needs, in plain words."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from windtunnel.laws.deciding.cost import CostModel
from windtunnel.laws.deciding.outlook import Outlook
from windtunnel.laws.deciding.plan import Plan
from windtunnel.laws.forecasting import LawForecast
from windtunnel.laws.law import Law
from windtunnel.laws.rows import to_space
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import LEAST_GROUPS, NORMAL_90
from windtunnel.report.formatting import quantity
from windtunnel.report.memo.findings import Findings
from windtunnel.report.memo.phrases import loss_decimals, many, plain, run_words, with_range

_SAME = 0.05  # a share of size by which plan and target are one and the same
_SUSPECT = 3.0  # chances, in per cent, nearer to 0 or 100 than this are said as `under` or `over`


def lead_sentences(found: Findings) -> list[str]:
    """What to train and for how much, what it reaches, the risk, the next run, the rows.

    Args:
        found: What was found.
    """
    said = []
    plan, planned = found.plan, found.planned
    if plan is not None and planned is not None:
        said += [*_train(plan), *_cost(found.cost, plan.allocation.flops)]
        said += _expect(found, planned.forecast)
        said += _target(found, plan)
        said.append(_next(found, planned, plan.allocation.flops))
    else:
        said += _cost(found.cost, found.target_flops) if found.target_flops else []
        said += _expect(found, found.target.forecast)
        said.append(_next(found, found.target, found.target_flops))
    return [*said, *_rows(found)]


def _train(plan: Plan) -> list[str]:
    split = plan.allocation
    sizes = (
        f"{with_range(split.params, 'parameters', first=True)} on "
        f"{with_range(split.tokens, 'tokens')}"
    )
    spent = f"{quantity(split.flops)} FLOPs"
    if plan.verdict == "cannot say":
        why = f": {'; '.join(split.reasons)}" if split.verdict == "cannot say" else ""
        return [
            f"These runs cannot say what to train for {spent}{why}.",
            f"The law alone, far from them, would have a model of {sizes}; do not train it yet.",
        ]
    open_ended = f" The split is open: {'; '.join(split.reasons)}." if split.reasons else ""
    return [f"Train a model of {sizes}, {spent} in all.{open_ended}"]


def _cost(cost: CostModel | None, flops: float) -> list[str]:
    if cost is None:
        return [
            "What that takes in GPU-hours and money is not known: the table has no seconds, and "
            "no --gpu and --rate were given."
        ]
    hours, money = with_range(cost.hours(flops), "GPU-hours"), cost.money(flops)
    if money is None:
        return [f"It takes {hours}; give --rate for what they cost."]
    return [f"It takes {hours} and costs {with_range(money)} at {cost.rate:g} a GPU-hour."]


def _expect(found: Findings, forecast: LawForecast) -> list[str]:
    low, high = forecast.ci90
    digits = loss_decimals(low, high)
    metric = found.law.metric
    where = run_words({axis.axis: axis.target for axis in forecast.axes})
    if forecast.verdict == "cannot say":
        return [
            f"What {metric} it will reach, these runs cannot say: {plain(forecast.reason)}.",
            f"The law's curve gives {forecast.value:.{digits}f}; take it for no forecast.",
        ]
    subject = "Expect" if found.plan is not None else f"The target, {where}, should reach"
    said = f"{low:.{digits}f} to {high:.{digits}f}"
    wide = "" if forecast.verdict == "ok" else " That is wide."
    return [
        f"{subject} {_one_of(metric)} of {forecast.value:.{digits}f} (90 % range {said}).{wide}",
        _risk(found.law, forecast, found.question.at_most),
    ]


def _risk(law: Law, forecast: LawForecast, at_most: float | None) -> str:
    low, high = forecast.ci90
    digits = loss_decimals(low, high)
    tested = law.spread.groups
    if tested < LEAST_GROUPS:
        chance = "" if at_most is None else f", nor how likely it is to stay below {at_most:g}"
        return (
            f"How likely it is to miss that range could not be checked{chance}: back-tests "
            f"foretold {many(tested, 'run')} and {LEAST_GROUPS} are needed."
        )
    ends = (
        f"The chance that it ends above {high:.{digits}f} is about 5 %, and about 5 % below "
        f"{low:.{digits}f}"
    )
    if at_most is None:
        return f"{ends}."
    chance = _chance(law, forecast, at_most)
    return f"{ends}; it ends above the {at_most:g} that you need with {chance}."


def _chance(law: Law, forecast: LawForecast, at_most: float) -> str:
    """Of ending above a loss, by a normal distribution with the forecast's range."""
    fitted = law.fitted
    if fitted.form.space == "log" and at_most <= 0:
        return "certainty"
    middle, high, limit = (
        float(to_space(fitted.form, _one(value), fitted.scaling)[0])
        for value in (forecast.value, forecast.ci90[1], at_most)
    )
    share = 100 * float(stats.norm.sf((limit - middle) / ((high - middle) / NORMAL_90)))
    if share < _SUSPECT:
        return f"a chance under {_SUSPECT:.0f} %"
    if share > 100 - _SUSPECT:
        return f"a chance over {100 - _SUSPECT:.0f} %"
    return f"a chance of about {share:.0f} %"


def _one(value: float) -> Array:
    return np.array([value])


def _target(found: Findings, plan: Plan) -> list[str]:
    """The run that the reader had in mind, where it is another one."""
    target, split = found.question.target, plan.allocation
    same = all(
        abs(math.log(target[name] / estimate.value)) < _SAME
        for name, estimate in (("params", split.params), ("tokens", split.tokens))
    )
    if same or found.target_flops is None:
        return []
    forecast = found.target.forecast
    asked = run_words(target)
    if forecast.verdict == "cannot say":
        if found.planned is not None and found.planned.forecast.reason == forecast.reason:
            return [f"The same goes for the target you named, {asked}."]
        return [
            f"Of the target you named, {asked}, these runs cannot say the {found.law.metric}: "
            f"{plain(forecast.reason)}."
        ]
    low, high = forecast.ci90
    digits = loss_decimals(low, high)
    smallest, largest = split.valley[0.005]
    takes, near = "takes as much compute", ""
    if smallest <= target["params"] <= largest:
        near = ", within half a percent of the best by the law"
    if abs(math.log(found.target_flops / split.flops)) > _SAME:
        cost = found.cost
        money = None if cost is None else cost.money(found.target_flops)
        spent = [f"{quantity(found.target_flops)} FLOPs"]
        spent += [] if cost is None else [with_range(cost.hours(found.target_flops), "GPU-hours")]
        spent += [] if money is None else [f"{with_range(money)} in money"]
        takes, near = f"takes {_listed(spent)}", ""
    return [
        f"The target you named, {asked}, {takes} and should reach {forecast.value:.{digits}f} "
        f"({low:.{digits}f} to {high:.{digits}f}){near}."
    ]


def _next(found: Findings, outlook: Outlook, flops: float | None) -> str:
    best = outlook.next_run
    if best is None:
        return (
            "No single run of at most a tenth of its compute is expected to narrow its range."
            if flops is not None
            else "What one more run would buy is not known: the law's inputs give no run's cost."
        )
    run = best.runs[0]
    share = "" if flops is None else f", {100 * run.flops / flops:.2g} % of its compute"
    digits = loss_decimals(-best.after, best.after)
    return (
        f"One more run first, {run_words(run.inputs)} ({quantity(run.flops)} FLOPs{share}), is "
        f"expected to narrow its range from \u00b1{best.before:.{digits}f} to "
        f"\u00b1{best.after:.{digits}f}."
    )


def _rows(found: Findings) -> list[str]:
    """Which rows were left out, and why."""
    total, used = len(found.table), int(found.used.sum())
    if used == total:
        return [f"All {many(total, 'row')} of the table were used."]
    reasons = []
    asked = total - int(found.taken.sum())
    if asked:
        reasons.append(f"{asked} by your --where \u201c{found.question.where}\u201d")
    flags = found.law.summary["flags"]
    for flag in flags:
        if not flag["dropped"]:
            continue
        # Rows that a rule only doubts were left out by the back-tests' choice.
        doubt = flag["rule"].removeprefix("without ")
        told = [other["sentence"] for other in flags if other["rule"] == doubt]
        reasons.append(
            f"{told[0].split('; kept')[0]}, and back-tests foretold better without them"
            if told and doubt != flag["rule"]
            else flag["sentence"].removesuffix("; left out")
        )
    return [f"{used} of {many(total, 'row')} were used; left out: {'; '.join(reasons)}."]


def _one_of(metric: str) -> str:
    return f"a{'n' if metric[:1].lower() in 'aeiou' else ''} {metric}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

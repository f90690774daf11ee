"""Which of two methods is better at a target, and where they cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.crossing import Crossing, crossing
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.normal_spread import normal_spread
from windtunnel.laws.deciding.optimum import optimal_params
from windtunnel.laws.deciding.paired import paired_spread
from windtunnel.laws.deciding.surface import Metric, surface_of
from windtunnel.laws.deciding.target import check_target
from windtunnel.laws.folds import distance
from windtunnel.laws.forecasting import LawForecast, Verdict, forecast_law
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import NORMAL_90, halfwidth

ComparisonVerdict = Literal["better", "worse", "no difference shown"]
_BEYOND_TARGET = 10.0  # crossings are looked for up to ten times the target
_PAIRS = 100  # of draws; each takes a search along the whole line


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first method against the second.

    Attributes:
        names: Of the two.
        target: Where they are compared.
        losses: What each law says there.
        difference: The first's loss less the second's, as a share of the second's (in the
            metric's unit where the law's residuals are): negative where the first is better.
        relative: Whether the difference is a share.
        verdict: Of the first: `better` or `worse` where the range leaves 0 out.
        chance: That one run of the first gets the lower loss.
        trust: Verdict on the less trusted of the two forecasts.
        crossings: Where the two are equal, along compute at the best size for it and along tokens
            at the target's parameters; empty for forms that lack one of them.
        sentence: In words.
    """

    names: tuple[str, str]
    target: Mapping[str, float]
    losses: tuple[float, float]
    difference: Estimate
    relative: bool
    verdict: ComparisonVerdict
    chance: float
    trust: Verdict
    crossings: tuple[Crossing, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "names": list(self.names),
            "target": dict(self.target),
            "losses": list(self.losses),
            "difference": self.difference.to_json(),
            "relative": self.relative,
            "verdict": self.verdict,
            "chance": self.chance,
            "trust": self.trust,
            "crossings": [one.to_json() for one in self.crossings],
            "sentence": self.sentence,
        }


def compare_laws(
    first: Law, second: Law, at: Mapping[str, float], *, names: tuple[str, str] = ("A", "B")
) -> Comparison:
    """Compare one run each of two methods at a target.

    Where both were run at the same scales, the range comes from back-tests of their difference
    (`paired_spread`), in which the errors that a form makes for both alike cancel. Elsewhere it
    adds both laws' own, taken as independent, and is rather too wide than too narrow.

    Args:
        first: Law of the one.
        second: Law of the other, of the same form.
        at: Value of each of the form's inputs.
        names: What to call them.

    Raises:
        WindtunnelError: The forms differ, or the target is not one of the form.
    """
    form = first.fitted.form
    if form.name != second.fitted.form.name:
        raise WindtunnelError(
            f"compare: {names[0]} has the form '{form.name}' and {names[1]} "
            f"'{second.fitted.form.name}'; fit both with one --form"
        )
    target = check_target(form.inputs, at, form=form.name, flag="--at")
    relative = form.space == "log"
    point = {name: np.array([value]) for name, value in target.items()}
    losses = (float(first(point)[0]), float(second(point)[0]))
    half = _half(first, second, point)
    middle = math.log(losses[0] / losses[1]) if relative else losses[0] - losses[1]
    ends = (middle - half, middle + half)
    verdict: ComparisonVerdict = "no difference shown"
    if ends[1] < 0 or ends[0] > 0:
        verdict = "better" if middle < 0 else "worse"
    difference = Estimate(middle, ends)
    if relative:
        difference = difference.through(math.expm1)
    chance = float(stats.norm.cdf(-middle / half * NORMAL_90)) if half > 0 else float(middle < 0)
    crossings = _crossings(first, second, target)
    forecasts = (forecast_law(first, target), forecast_law(second, target))
    return Comparison(
        names,
        target,
        losses,
        difference,
        relative,
        verdict,
        chance,
        max((one.verdict for one in forecasts), key=("ok", "wide", "cannot say").index),
        crossings,
        _sentence(names, difference, relative, verdict, chance, crossings, forecasts),
    )


def _half(first: Law, second: Law, point: Mapping[str, Array]) -> float:
    """Half the 90 % range of the difference of one run each, in the log or the metric's unit."""
    fits, halves = [], []
    for law in (first, second):
        fitted = law.fitted
        drawn = fitted.form.predict(law.draws, fitted.scaling.scale(point))[0]
        unit = math.exp(fitted.scaling.metric) if fitted.form.space == "linear" else 1.0
        fits.append(unit * float(normal_spread(drawn)[0]))
        halves.append(unit * halfwidth(law.spread, fits[-1] / unit, _nats(law, point)))
    together = paired_spread(first, second)
    if together is None:
        return math.hypot(*halves)
    farther = max(_nats(first, point), _nats(second, point))
    return halfwidth(together, math.hypot(*fits), farther)


def _nats(law: Law, point: Mapping[str, Array]) -> float:
    measured = {name: law.inputs[name] for name in law.fitted.form.inputs}
    return float(distance(measured, point)[0])


def _crossings(first: Law, second: Law, target: Mapping[str, float]) -> tuple[Crossing, ...]:
    if not {"params", "tokens"} <= set(target):
        return ()
    fixed = {name: value for name, value in target.items() if name not in ("params", "tokens")}
    surfaces = (surface_of(first, fixed), surface_of(second, fixed))
    seen = {
        name: np.concatenate([first.inputs[name], second.inputs[name]])
        for name in ("params", "tokens")
    }
    compute = 6 * target["params"] * target["tokens"]
    least = float((6 * seen["params"] * seen["tokens"]).min())
    # Fewer tokens a parameter than any run had are no place to look for a crossing.
    fewest = float((seen["tokens"] / seen["params"]).min()) * target["params"]
    size = np.array(target["params"])

    def along_compute(flops: Array) -> Callable[[Metric], Array]:
        def best(metric: Metric) -> Array:
            params = optimal_params(metric, flops)
            return metric(params, flops / (6 * params))

        return best

    def along_tokens(tokens: Array) -> Callable[[Metric], Array]:
        return lambda metric: metric(size, tokens)

    found = []
    for axis, line, low, here in (
        ("flops", along_compute, least, compute),
        ("tokens", along_tokens, max(float(seen["tokens"].min()), fewest), target["tokens"]),
    ):
        places = np.geomspace(min(low, here), _BEYOND_TARGET * here, 41)
        loss = line(places)
        # Backwards, for draws made with one seed may go together.
        pairs = list(zip(surfaces[0].drawn, reversed(surfaces[1].drawn), strict=False))[:_PAIRS]
        drawn = [loss(one) - loss(other) for one, other in pairs]
        fitted = loss(surfaces[0].best) - loss(surfaces[1].best)
        found.append(crossing(axis, places, fitted, np.array(drawn), near=here))
    return tuple(found)


def _sentence(
    names: tuple[str, str],
    difference: Estimate,
    relative: bool,
    verdict: ComparisonVerdict,
    chance: float,
    crossings: tuple[Crossing, ...],
    forecasts: tuple[LawForecast, LawForecast],
) -> str:
    scale, unit = (100.0, " %") if relative else (1.0, "")
    value, low, high = (scale * each for each in (difference.value, *difference.ci90))
    numbers = f"{value:+.2g}{unit} loss ({low:+.2g} to {high:+.2g})"
    if verdict == "no difference shown":
        said = f"No difference between {names[0]} and {names[1]} is shown at the target: {numbers}"
        said += f"; one run of {names[0]} beats one of {names[1]} with a chance of {chance:.0%}."
    else:
        said = f"{names[0]} is {verdict} than {names[1]} at the target: {numbers}."
    places = [one.words(names) for one in crossings if one.at is not None]
    doubts = [
        f"But of {name} at the target the runs {one.verdict}: {one.reason}."
        for name, one in zip(names, forecasts, strict=True)
        if one.verdict == "cannot say"
    ]
    return " ".join([said, *doubts, *places])

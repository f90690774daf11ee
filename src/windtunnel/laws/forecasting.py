"""What a law says at a target: the metric, its 90 % range, and whether to believe it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.folds import distance
from windtunnel.laws.law import Law
from windtunnel.laws.rows import from_space, to_space
from windtunnel.laws.spread import LEAST_GROUPS, NORMAL_90, halfwidth

# Half-widths of the range, as shares of the metric, above which a forecast is `wide`, and above
# which it says next to nothing.
WIDE, WIDEST = 0.05, 0.25
LEAST_VALUES = 3  # of an input, to foretell beyond it: through two values any curve goes
# Back-tests speak for distances as far as their own, beliefs about drift for a thousandfold.
LEAST_REACH = math.log(1000.0)
# Where the rows alone leave no floor under the metric, a forecast farther than this many nats
# rests on what one believes of the floor, not on the rows.
FLOORLESS_REACH = math.log(30.0)
FLOOR = 0.05  # an irreducible term below this share of the least metric is none

Verdict = Literal["ok", "wide", "cannot say"]


@dataclass(frozen=True, slots=True)
class Axis:
    """How far the target lies beyond what was varied along one input.

    Attributes:
        axis: Name of the input.
        varied: Its least and greatest value among the rows used.
        values: How many distinct values.
        target: The target's.
        ratio: How many times beyond the range: 1 inside it.
        verdict: `ok`, or `cannot say` where the rows cannot tell this axis.
        reason: One sentence; empty where all is well.
    """

    axis: str
    varied: tuple[float, float]
    values: int
    target: float
    ratio: float
    verdict: Literal["ok", "cannot say"]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "axis": self.axis,
            "varied": list(self.varied),
            "values": self.values,
            "target": self.target,
            "ratio": self.ratio,
            "verdict": self.verdict,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class LawForecast:
    """A forecast of one run.

    Attributes:
        value: The metric there.
        ci90: 90 % range for what one run at the target will reach.
        verdict: `ok`, `wide`, or `cannot say`.
        reason: One sentence.
        axes: Axis by axis.
        spread: Parts of the range as standard deviations in the form's space: `fit`, `drift` and
            `noise`.
    """

    value: float
    ci90: tuple[float, float]
    verdict: Verdict
    reason: str
    axes: tuple[Axis, ...]
    spread: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "loss": self.value,
            "ci90": list(self.ci90),
            "verdict": self.verdict,
            "reason": self.reason,
            "axes": [axis.to_json() for axis in self.axes],
            "spread": dict(self.spread),
        }


def forecast_law(law: Law, target: Mapping[str, float]) -> LawForecast:
    """Forecast one run.

    Args:
        law: The fitted law.
        target: Value of each of the form's inputs; and of sizes that the law holds, where it
            cannot say what another value does.

    Raises:
        WindtunnelError: An input is missing, unknown, or no positive number.
    """
    unknown = [name for name in target if name not in law.inputs and name not in law.held]
    if unknown:
        raise WindtunnelError(
            f"forecast: the law is one in {', '.join(law.inputs)} and knows no {unknown[0]}; "
            "leave it out, or name a form that needs it"
        )
    form, scaling = law.fitted.form, law.fitted.scaling
    at = {name: np.array([_value(target, name, form.inputs)]) for name in form.inputs}
    nats = float(distance(law.inputs, at)[0])
    said = to_space(form, law(at), scaling)[0]
    drawn = to_space(form, law.drawn(at), scaling)[:, 0]
    low, high = np.quantile(drawn, [0.05, 0.95])
    fit = float(high - low) / (2 * NORMAL_90)
    half = halfwidth(law.spread, fit, nats)
    ends = from_space(form, np.array([said - half, said + half]), scaling)
    axes = tuple(_axis(name, law.inputs[name], float(at[name][0])) for name in form.inputs)
    axes += tuple(
        _axis(name, np.array([value]), _value(target, name, form.inputs))
        for name, value in law.held.items()
        if name in target
    )
    value = float(law(at)[0])
    share = float(ends[1] - ends[0]) / (2 * abs(value)) if value else math.inf
    verdict, reason = _judge(law, axes, nats, share)
    return LawForecast(
        value,
        (float(ends[0]), float(ends[1])),
        verdict,
        reason,
        axes,
        {"fit": fit, "drift": law.spread.drift * nats, "noise": law.spread.noise},
    )


def _value(target: Mapping[str, float], name: str, inputs: tuple[str, ...]) -> float:
    value = target.get(name)
    if value is None:
        raise WindtunnelError(
            f"forecast: the target needs {name}; the law is one in {', '.join(inputs)}"
        )
    if not (math.isfinite(value) and value > 0):
        raise WindtunnelError(f"forecast: {name} {value} is not a positive number")
    return float(value)


def _axis(name: str, values: np.ndarray, target: float) -> Axis:
    low, high = float(values.min()), float(values.max())
    count = int(np.unique(values).size)
    ratio = max(1.0, target / high, low / target)
    reason = ""
    if low == high and target != high:
        reason = f"every row has the same {name}, {high:.3g}; add runs at two other values"
    elif ratio > 1 and count < LEAST_VALUES:
        reason = (
            f"the target's {name} lie {ratio:.3g} times beyond rows with only {count} values of "
            f"{name}; add a run at a third"
        )
    return Axis(name, (low, high), count, target, ratio, "cannot say" if reason else "ok", reason)


def _judge(law: Law, axes: tuple[Axis, ...], nats: float, share: float) -> tuple[Verdict, str]:
    refused = [axis.reason for axis in axes if axis.verdict != "ok"]
    if refused:
        return "cannot say", "; ".join(refused)
    times = f"{math.exp(nats):.3g} times"
    if nats > FLOORLESS_REACH and _floorless(law):
        return (
            "cannot say",
            "the rows alone show no floor under the loss, and what lies below it decides a "
            f"target {times} beyond them; add larger runs",
        )
    supported = max(law.spread.reach, LEAST_REACH)
    if nats > supported:
        return (
            "cannot say",
            f"the target lies {times} beyond the rows, and back-tests inside them speak for "
            f"{math.exp(supported):.3g} times at most; add larger runs",
        )
    width = f"the range is +-{100 * share:.1f} %"
    loose = set(law.fitted.at_bounds()) & {p.name for p in law.fitted.form.parameters if p.decisive}
    if nats > 0 and loose:
        return "cannot say", "the rows do not fix the exponents; vary sizes and lengths more"
    if share > WIDEST:
        return "cannot say", f"{width}, which says next to nothing; add larger runs"
    if law.spread.groups < LEAST_GROUPS:
        return (
            "wide",
            f"{width}, and with {law.spread.groups} runs to test it on, where {LEAST_GROUPS} are "
            "needed, whether it covers 90 % cannot be checked",
        )
    if share > WIDE:
        return "wide", f"{width}, above {100 * WIDE:.0f} %"
    return "ok", f"{width} and covers 90 % of what back-tests foretold"


def _floorless(law: Law) -> bool:
    return bool(law.summary.get("floorless", False))

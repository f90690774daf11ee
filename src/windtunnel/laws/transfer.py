"""Does the optimum stay put along an axis? Its drift, the loss it costs, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from windtunnel.errors import WindtunnelError
from windtunnel.laws.optimum import Optimum

# The optima's own errors are believed like the scatter of so many more points: with one or two
# points beyond a line's two parameters, scatter alone says little.
_BELIEF = 4.0
SLOPE_LIMIT = 0.4  # octaves of the optimum per octave of the axis (issue 2, item 9)
LOSS_LIMIT_PERCENT = 0.5

Verdict = Literal["transfers", "drifts", "cannot say"]


@dataclass(frozen=True, slots=True)
class Drift:
    """Slope of the log2 optimum against the log2 axis.

    Attributes:
        slope: Weighted least squares over the values of the axis.
        se: Its standard error, times the Birge ratio (Birge 1932) where the optima scatter about
            the line more than their own errors allow; those errors count as four more points.
        ci90: 90 % t range at the pooled degrees of freedom of the optima.
    """

    slope: float
    se: float
    ci90: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LossPaid:
    """Loss above the best, in percent of the loss, for keeping another scale's optimum."""

    percent: float
    se: float


@dataclass(frozen=True, slots=True)
class AxisVerdict:
    """The verdict on one axis.

    Attributes:
        axis: Its name (width, tokens).
        verdict: In words; `cannot say` when the data do not settle it.
        slope: Drift in octaves per octave; None when there is none to fit.
        slope_ci90: Its 90 % range.
        loss_paid_percent: The most paid at any larger scale for using the base's optimum.
        varied: Least and greatest value with a tuned optimum; None when there is none.
        target: Value of the axis at the target; None where no target is in mind.
        target_ratio: Target over the greatest value varied (1 when inside the range).
        reason: One sentence.
        next_run: The cheapest run that would settle it; None when it is settled.
    """

    axis: str
    verdict: Verdict
    slope: float | None
    slope_ci90: tuple[float, float] | None
    loss_paid_percent: float | None
    varied: tuple[float, float] | None
    target: float | None
    target_ratio: float
    reason: str
    next_run: str | None

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {
            "axis": self.axis,
            "verdict": self.verdict,
            "slope": self.slope,
            "slope_ci90": None if self.slope_ci90 is None else list(self.slope_ci90),
            "loss_paid_percent": self.loss_paid_percent,
            "varied": None if self.varied is None else list(self.varied),
            "target": self.target,
            "target_ratio": self.target_ratio,
            "reason": self.reason,
            "next_run": self.next_run,
        }


def drift(
    values: Sequence[float], optima: Sequence[Optimum], lines: Sequence[Hashable] | None = None
) -> Drift | None:
    """Slope of the optimum along an axis; None with fewer than two values of known error.

    Args:
        values: The axis' value at each optimum (width, tokens); repeats are allowed.
        optima: Optima fitted together by `fit_optima`, so that they share their noise.
        lines: What else was varied, for each optimum (its length, when the axis is width): the
            slope is one for all, the level is each line's own. By default there is one line.
    """
    bracketed = [
        (math.log2(value), optimum, line)
        for value, optimum, line in zip(values, optima, lines or [0] * len(values), strict=True)
        if math.isfinite(optimum.se) and optimum.edge is None
    ]
    # A line with one value has no slope.
    known = [a for a in bracketed if any(a[0] != b[0] and a[2] == b[2] for b in bracketed)]
    if not known:
        return None
    x = np.array([x for x, _, _ in known])
    y = np.array([optimum.log2_value for _, optimum, _ in known])
    weight = np.array([optimum.se**-2 for _, optimum, _ in known])
    for line in {line for _, _, line in known}:
        own = np.array([line == other for _, _, other in known])
        x[own] -= np.average(x[own], weights=weight[own])
        y[own] -= np.average(y[own], weights=weight[own])
    spread = float(weight @ x**2)
    slope = float((weight * x) @ y / spread)
    scatter = float(weight @ (y - slope * x) ** 2)
    extra = len(known) - len({line for _, _, line in known}) - 1
    birge = math.sqrt((_BELIEF + scatter) / (_BELIEF + extra))
    se = spread**-0.5 * max(1.0, birge)
    reach = float(stats.t.ppf(0.95, min(optimum.dof for _, optimum, _ in known))) * se
    return Drift(slope, se, (slope - reach, slope + reach))


def loss_paid_percent(own: Optimum, used: Optimum) -> LossPaid:
    """What it costs at one scale to use another scale's optimum.

    Half the curvature of log loss times the squared distance of the two optima, which is what
    the fitted curve says near its vertex. The noise of the two optima makes a distance, and so a
    cost, even where there is none; that expected share is taken off (never below zero).

    Args:
        own: Optimum at the scale where the loss is paid.
        used: The optimum that is used there instead.
    """
    distance = own.log2_value - used.log2_value
    variance = own.se**2 + used.se**2
    if not math.isfinite(variance):
        return LossPaid(math.nan, math.inf)
    square = max(0.0, distance**2 - variance)
    # Var(d^2) = 4 d^2 s^2 + 2 s^4 for a Gaussian distance d with error s.
    square_se = math.sqrt(4 * square * variance + 2 * variance**2)
    se = 0.5 * math.hypot(own.curvature * square_se, own.curvature_se * square)
    return LossPaid(50 * own.curvature * square, 100 * se)


def losses_paid(
    values: Sequence[float], optima: Sequence[Optimum], base_value: float
) -> list[LossPaid]:
    """Loss paid at every scale above the base for using the base's optimum, in order of scale.

    Raises:
        WindtunnelError: The base has no optimum among the values.
    """
    pairs = sorted(zip(values, optima, strict=True), key=lambda pair: pair[0])
    base = next((optimum for value, optimum in pairs if value == base_value), None)
    if base is None:
        raise WindtunnelError(
            f"transfer: no optimum was tuned at the base, {base_value:g}; tune it there as well"
        )
    return [loss_paid_percent(optimum, base) for value, optimum in pairs if value > base_value]


def judge_axis(
    axis: str,
    values: Sequence[float],
    optima: Sequence[Optimum],
    losses: Sequence[LossPaid],
    target_value: float | None,
    lines: Sequence[Hashable] | None = None,
    joint: Drift | None = None,
) -> AxisVerdict:
    """Say whether the optimum transfers along one axis.

    `transfers`: the 90 % range of the slope lies within +-0.4 and the loss paid is at most 0.5 %
    at every larger scale. `drifts`: that range lies wholly outside +-0.4, or the loss paid is
    above 0.5 % by more than its noise. Else `cannot say`.

    Args:
        axis: Name of the axis.
        values: Its value at each optimum.
        optima: The optima, fitted together.
        losses: Loss paid at the larger scales, from `losses_paid`.
        target_value: Its value at the target; None where the runs alone are judged.
        lines: As for `drift`.
        joint: The slope along this axis from a fit along several at once; it is taken where no
            line holds two values.

    Raises:
        WindtunnelError: A value that is not positive.
    """
    for value in values if target_value is None else (*values, target_value):
        if not (math.isfinite(value) and value > 0):
            raise WindtunnelError(f"transfer: {axis} = {value} is not a positive number")
    line = drift(values, optima, lines) or joint
    paid = [loss for loss in losses if math.isfinite(loss.percent)]
    most = max(paid, key=lambda loss: loss.percent, default=None)
    low, high = (min(values), max(values)) if values else (None, None)
    ratio = 1.0 if high is None or target_value is None else max(1.0, target_value / high)

    def verdict(word: Verdict, reason: str, next_run: str | None = None) -> AxisVerdict:
        return AxisVerdict(
            axis=axis,
            verdict=word,
            slope=None if line is None else line.slope,
            slope_ci90=None if line is None else line.ci90,
            loss_paid_percent=None if most is None else most.percent,
            varied=None if low is None or high is None else (low, high),
            target=target_value,
            target_ratio=ratio,
            reason=reason,
            next_run=next_run,
        )

    if len(set(values)) < 2:
        if values and target_value == values[0]:
            return verdict("transfers", f"{axis} is the same at the target as on the ladder")
        return verdict(
            "cannot say",
            f"the runs hold one value of {axis}"
            if target_value is None
            else f"the target changes {axis}, but the ladder holds one value of it",
            f"a sweep at a second value of {axis}, half or twice the ladder's"
            if values
            else f"sweeps at two values of {axis}",
        )
    open_ends = [
        (value, optimum)
        for value, optimum in sorted(zip(values, optima, strict=True), key=lambda pair: pair[0])
        if optimum.edge is not None or not math.isfinite(optimum.se)
    ]
    if line is None and not open_ends:
        return verdict(
            "cannot say",
            f"no two values of {axis} have a tuned optimum with all else equal",
            f"a sweep at a second value of {axis} that changes nothing else",
        )
    if line is None:
        value, optimum = open_ends[0]
        where = {"low": "below", "high": "above", None: "around"}[optimum.edge]
        return verdict(
            "cannot say",
            f"fewer than two values of {axis} have an optimum that the tried values bracket",
            f"more values {where} {optimum.value:.3g} at {axis} = {value:g}",
        )
    low90, high90 = line.ci90
    span = f"{line.slope:+.2f} octaves an octave (90 % range {low90:+.2f} to {high90:+.2f})"
    if low90 > SLOPE_LIMIT or high90 < -SLOPE_LIMIT:
        return verdict("drifts", f"the optimum moves by {span} along {axis}")
    quantile = float(stats.t.ppf(0.95, optima[0].dof))
    sure = [loss for loss in paid if loss.percent - quantile * loss.se > LOSS_LIMIT_PERCENT]
    if sure:
        worst = max(sure, key=lambda loss: loss.percent)
        return verdict(
            "drifts",
            f"keeping the base's optimum costs {worst.percent:.2f} % of the loss along {axis}, "
            f"more than {LOSS_LIMIT_PERCENT} %",
        )
    steady = low90 >= -SLOPE_LIMIT and high90 <= SLOPE_LIMIT
    cheap = most is None or most.percent <= LOSS_LIMIT_PERCENT
    if steady and cheap and not open_ends:
        beyond = f"; the target lies {ratio:.1f} times beyond the range" if ratio > 1 else ""
        return verdict("transfers", f"the optimum moves by {span} along {axis}{beyond}")
    weakest_value, weakest = max(
        zip(values, optima, strict=True),
        key=lambda pair: (pair[1].edge is not None, pair[1].se, -pair[0]),
    )
    if open_ends:
        reason = f"the optimum at {axis} = {weakest_value:g} is not bracketed clearly"
    elif not cheap and most is not None:
        reason = (
            f"keeping the base's optimum seems to cost {most.percent:.2f} % of the loss along "
            f"{axis}, but the noise could make that"
        )
    else:
        reason = f"the slope along {axis}, {span}, could be within +-{SLOPE_LIMIT} or beyond"
    where = {"low": "below", "high": "above", None: "around"}[weakest.edge]
    return verdict(
        "cannot say",
        reason,
        f"two more values {where} {weakest.value:.3g} at {axis} = {weakest_value:g}",
    )

"""How a speed-up moves as models grow, and what that says of a larger one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from windtunnel.comparing.paired import LEAST_SEEDS
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.forecasting import LEAST_VALUES

# As in `laws.transfer`: the seeds' own errors are believed like so many more points, for with one
# or two points beyond a line's two parameters scatter alone says little.
_BELIEF = 4.0
# A range wider than this factor to either side of a forecast speed-up says next to nothing.
WIDEST = math.log(2.0)

TrendVerdict = Literal["grows", "shrinks", "no trend shown", "cannot say"]


@dataclass(frozen=True, slots=True)
class Trend:
    """Log speed-up against log size, a straight line.

    Attributes:
        axis: What size is.
        sizes: (k,) where speed-ups were measured, increasing.
        verdict: `grows` or `shrinks` where the 90 % range of the slope leaves 0 out.
        slope: Speed-up goes as size to this power, with its 90 % range; None for `cannot say`.
        line: Log speed-up at the mean log size, and that mean; None likewise.
        target: The size in mind; None where none is.
        forecast: Speed-up there with its 90 % range; None where it is refused or not asked for.
        reason: Why not, or what the verdict rests on.
    """

    axis: str
    sizes: tuple[float, ...]
    verdict: TrendVerdict
    slope: Estimate | None
    line: tuple[float, float] | None
    target: float | None
    forecast: Estimate | None
    reason: str

    def at(self, size: float) -> float | None:
        """Speed-up on the line; None where there is none."""
        if self.slope is None or self.line is None:
            return None
        level, middle = self.line
        return math.exp(level + self.slope.value * (math.log(size) - middle))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "axis": self.axis,
            "sizes": list(self.sizes),
            "verdict": self.verdict,
            "slope": None if self.slope is None else self.slope.to_json(),
            "target": self.target,
            "forecast": None if self.forecast is None else self.forecast.to_json(),
            "reason": self.reason,
        }


def trend(
    axis: str,
    sizes: Sequence[float],
    logs: Sequence[Mapping[str, float]],
    target: float | None = None,
) -> Trend:
    """Fit a line to log speed-ups, each scale weighted by how well it is known.

    A line is fitted for each seed with the same weights, so luck that a seed carries from scale to
    scale is neither counted twice nor lost; the lines' spread gives the range. Where the scales'
    means scatter about the line more than their own errors allow, that widens it (Birge 1932).

    Args:
        axis: What size is, for messages.
        sizes: (k,) one a scale.
        logs: (k,) log speed-up by seed at each.
        target: Size to foretell the speed-up at.

    Returns:
        `cannot say` with fewer than three sizes or five seeds that all scales share. A forecast
        is refused farther beyond the sizes than they span.
    """
    order = np.argsort(sizes)
    size = np.array(sizes, dtype=float)[order]
    by_scale = [logs[place] for place in order]
    shared = [s for s in by_scale[0] if all(s in one for one in by_scale)] if by_scale else []

    def cannot(reason: str) -> Trend:
        return Trend(axis, tuple(size.tolist()), "cannot say", None, None, target, None, reason)

    if np.unique(size).size < LEAST_VALUES:
        return cannot(
            f"a trend takes speed-ups at {LEAST_VALUES} values of {axis}, and there are "
            f"{np.unique(size).size or 'none'}; add scales"
        )
    if len(shared) < LEAST_SEEDS:
        return cannot(
            f"a trend takes {LEAST_SEEDS} seeds that all scales share, and there are "
            f"{len(shared)}; run the same seeds at every scale"
        )
    values = np.array([[one[seed] for seed in shared] for one in by_scale])
    errors = values.var(axis=1, ddof=1) / len(shared)
    # A floor, so that no scale's weight is infinite where its seeds happen to agree.
    weights = 1 / np.maximum(errors, max(float(errors.mean()) * 0.01, 1e-12))
    x = np.log(size)
    middle = float(np.average(x, weights=weights))
    x = x - middle
    levels = np.average(values, axis=0, weights=weights)
    slopes = (weights * x) @ values / float(weights @ x**2)
    level, slope = float(levels.mean()), float(slopes.mean())
    scatter = float(weights @ (values.mean(axis=1) - level - slope * x) ** 2)
    birge = max(1.0, math.sqrt((_BELIEF + scatter) / (_BELIEF + size.size - 2)))
    reach = birge * float(stats.t.ppf(0.95, len(shared) - 1)) / math.sqrt(len(shared))

    def estimate(per_seed: np.ndarray) -> Estimate:
        mean, half = float(per_seed.mean()), reach * float(per_seed.std(ddof=1))
        return Estimate(mean, (mean - half, mean + half))

    fitted = estimate(slopes)
    verdict: TrendVerdict = "no trend shown"
    if fitted.ci90[0] > 0 or fitted.ci90[1] < 0:
        verdict = "grows" if slope > 0 else "shrinks"
    forecast, reason = None, f"{size.size} sizes, {len(shared)} seeds"
    if target is not None:
        beyond = max(math.log(target / size[-1]), math.log(size[0] / target), 0.0)
        span = math.log(size[-1] / size[0])
        at_target = estimate(levels + slopes * (math.log(target) - middle))
        if beyond > span:
            reason = (
                f"the target lies {math.exp(beyond):.3g} times beyond {axis} {size[-1]:.3g}, and "
                f"the scales span {math.exp(span):.3g} times; add a scale nearer to it"
            )
        elif at_target.ci90[1] - at_target.ci90[0] > 2 * WIDEST:
            low, high = (math.exp(end) for end in at_target.ci90)
            reason = f"the range at the target is {low:.2g} to {high:.2g} times; add seeds"
        else:
            forecast = at_target.through(math.exp)
    return Trend(
        axis, tuple(size.tolist()), verdict, fitted, (level, middle), target, forecast, reason
    )

"""One hyperparameter searched along a line: bracket, widen until it rises, refine around the best.

Values live on a grid of half-octaves: index i stands for 2 ** (i / 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Losses: TypeAlias = Mapping[int, float | None]  # None: still to come; inf: diverged

OCTAVE = 2
# The local quadratic (`windtunnel.laws.optimum`) reads 2 octaves to each side of the best, as far
# as the loss is at most 6 % above it, and wants so many points there.
FIT_REACH = 4
FIT_RISE = 0.06
FIT_POINTS = 5
# A side counts as walked once the loss is so far above the best: twice the noise of a small run.
# Where the loss is flat, points far out tell its minimum; half-octaves near it tell only noise.
LEAST_RISE = 0.02
MOST_WIDENINGS = 8


@dataclass(frozen=True, slots=True)
class SweepStep:
    """What a line needs next.

    Attributes:
        stage: `bracket`, `widen` and `refine` ask for `indices`; `wait` for results to come;
            `settled` and `edge` are ends, the latter with the best still at the edge.
        indices: Points to add.
        best: The best point so far, None while there is none.
    """

    stage: Literal["bracket", "widen", "refine", "wait", "settled", "edge"]
    indices: tuple[int, ...] = ()
    best: int | None = None


def index_of(value: float) -> int:
    """The grid point nearest to a positive value, in log."""
    return round(2 * math.log2(value))


def value_at(index: float) -> float:
    """The value at a grid point."""
    return float(2 ** (index / 2))


def geometric_bracket(low: float, high: float, points: int) -> tuple[int, ...]:
    """At most `points` grid points, evenly spread from `low` to `high`."""
    spread = np.linspace(index_of(low), index_of(high), points)
    return tuple(sorted({round(float(index)) for index in spread}))


def next_step(
    losses: Losses, bracket: Sequence[int], limits: tuple[float, float] = (-math.inf, math.inf)
) -> SweepStep:
    """Decide what one line needs next, from its losses alone.

    Args:
        losses: Loss by grid index.
        bracket: Points to begin with; the line is widened where the best is at its edge.
        limits: Smallest and largest index that mean anything; the best may stay at these.
    """
    missing = tuple(index for index in bracket if index not in losses)
    if missing:
        return SweepStep("bracket", missing)
    if any(loss is None for loss in losses.values()):
        return SweepStep("wait")
    tried = sorted(losses)
    best = best_index(losses)
    low = max(limits[0], min(bracket) - MOST_WIDENINGS * OCTAVE)
    high = min(limits[1], max(bracket) + MOST_WIDENINGS * OCTAVE)
    if best is None:  # all diverged: smaller values may not
        if tried[0] <= low:
            return SweepStep("edge")
        return SweepStep("widen", (_within(tried[0] - OCTAVE, low, high),))
    if best == tried[0] and best > low:
        return SweepStep("widen", (_within(best - OCTAVE, low, high),), best)
    if best == tried[-1] and best < high:
        return SweepStep("widen", (_within(best + OCTAVE, low, high),), best)
    if best in (tried[0], tried[-1]) and best not in limits:
        return SweepStep("edge", (), best)
    shallow = _beyond_shallow_sides(best, losses, limits)
    if shallow:
        return SweepStep("widen", shallow, best)
    wanted = _around(best, tried) or _for_the_fit(best, losses, limits)
    return SweepStep("refine" if wanted else "settled", wanted, best)


def best_index(losses: Losses) -> int | None:
    """The index of the lowest loss; equal losses prefer the middle of what was tried."""
    finite = [(loss, index) for index, loss in losses.items() if loss is not None]
    finite = [(loss, index) for loss, index in finite if math.isfinite(loss)]
    if not finite:
        return None
    middle = sum(index for _, index in finite) / len(finite)
    return min(finite, key=lambda point: (point[0], abs(point[1] - middle), point[1]))[1]


def vertex(losses: Losses) -> float | None:
    """The minimum of a parabola through the points near the best, in (fractional) grid steps.

    It starts other brackets and is no result: results come from `windtunnel.laws`. Where the
    points make no valley it is the best point itself, and it is never more than a step from it.
    """
    best = best_index(losses)
    if best is None:
        return None
    near = [
        (index - best, loss)
        for index, loss in losses.items()
        if loss is not None and math.isfinite(loss) and abs(index - best) <= FIT_REACH
    ]
    if len(near) < 3:
        return float(best)
    x, y = np.array(near, dtype=float).T
    curvature, slope, _ = np.polyfit(x, y - y.min(), 2)
    if curvature <= 1e-12:
        return float(best)
    return best + float(np.clip(-slope / (2 * curvature), -1, 1))


def _within(index: int, low: float, high: float) -> int:
    return int(min(max(index, low), high))


def _beyond_shallow_sides(
    best: int, losses: Losses, limits: tuple[float, float]
) -> tuple[int, ...]:
    """An octave further on each side where the loss has hardly risen within the fit's reach."""
    wanted = []
    for side in (-1, 1):
        walked = [index for index in losses if (index - best) * side > 0]
        farthest = max(walked, key=lambda index: abs(index - best), default=best)
        further = farthest + side * OCTAVE
        risen = any(_rise(losses, best, index) >= LEAST_RISE for index in walked)
        within = abs(farthest - best) < FIT_REACH and limits[0] <= further <= limits[1]
        if within and not risen:
            wanted.append(further)
    return tuple(sorted(wanted))


def _rise(losses: Losses, best: int, index: int) -> float:
    """How far a point lies above the best, as a share of it; infinite where it diverged."""
    at, lowest = losses[index], losses[best]
    assert at is not None and lowest is not None, "only complete lines are judged"
    return (at - lowest) / abs(lowest) if lowest else at


def _around(best: int, tried: Sequence[int]) -> tuple[int, ...]:
    """Halve the gaps on both sides of the best until its neighbours are an octave away."""
    below = [index for index in tried if index < best]
    above = [index for index in tried if index > best]
    wanted = []
    if below and best - below[-1] > OCTAVE:
        wanted.append(best - (best - below[-1]) // 2)
    if above and above[0] - best > OCTAVE:
        wanted.append(best + (above[0] - best) // 2)
    return tuple(wanted)


def _for_the_fit(best: int, losses: Losses, limits: tuple[float, float]) -> tuple[int, ...]:
    """Points still missing for the local quadratic, nearest first, never beyond a divergence."""
    finite = [index for index, loss in losses.items() if loss is not None and math.isfinite(loss)]
    near = [
        index
        for index in finite
        if abs(index - best) <= FIT_REACH and _rise(losses, best, index) <= FIT_RISE
    ]
    cliff = min((index for index in losses if index > best and index not in finite), default=None)
    floor = max((index for index in losses if index < best and index not in finite), default=None)
    free = [
        index
        for distance in range(1, FIT_REACH + 1)
        for index in (best - distance, best + distance)
        if index not in losses
        and limits[0] <= index <= limits[1]
        and (cliff is None or index < cliff)
        and (floor is None or index > floor)
    ]
    return tuple(sorted(free[: max(0, FIT_POINTS - len(near))]))

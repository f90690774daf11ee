"""From slopes to a verdict: which are judged, how far they may go, and which module is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.slopes import Axis, Key, Slope, fit_slopes

Verdict = Literal["pass", "fail", "cannot say"]

# Theory says a slope of 0 for a right rule and of 1/2 or 1 for a wrong exponent; small models bend
# a right rule's slopes to 0.3 or so. A slope whose whole range lies beyond the threshold is a
# mistake, and one whose range reaches the smallest mistake can't exclude it. Measured with the
# built-in GPT over ten sets of seeds: benchmarks/results/coordinate_check.md.
THRESHOLD = 0.3
SMALLEST_MISTAKE = 0.5
FEWEST_SIZES = 3
_NAMED = 4  # modules listed in a reason


@dataclass(frozen=True, slots=True)
class AxisCheck:
    """The verdict along one axis.

    Attributes:
        axis: What grew.
        sizes: The sizes that were built.
        verdict: See `windtunnel.parametrization.check.CoordinateCheck`.
        max_abs_slope: Largest slope, in size, of those that are judged.
        reason: One sentence.
        modules: Modules beyond the threshold, the one that explains the others first.
    """

    axis: Axis
    sizes: tuple[int, ...]
    verdict: Verdict
    max_abs_slope: float
    reason: str
    modules: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "axis": self.axis,
            "sizes": list(self.sizes),
            "verdict": self.verdict,
            "max_abs_slope": finite(self.max_abs_slope),
            "reason": self.reason,
            "modules": list(self.modules),
        }


def judge(
    axis: Axis,
    sizes: tuple[int, ...],
    measured: Mapping[tuple[int, int], Mapping[Key, float]],
    steps: int,
    level: frozenset[str],
) -> tuple[tuple[Slope, ...], AxisCheck]:
    """Fit every slope along one axis and judge them.

    Args:
        axis: What grew.
        sizes: The sizes that were built.
        measured: By size and seed, what `record` returned.
        steps: Optimizer steps taken.
        level: Modules whose output at initialisation may not even shrink; `*` for blocks.
    """
    for (size, _), run in measured.items():
        if not all(map(math.isfinite, run.values())):
            module = next(key[0] for key, value in run.items() if not math.isfinite(value))
            reason = f"{module} is not finite at {axis} {size}: the learning rate is too high there"
            return (), AxisCheck(axis, sizes, "fail", math.inf, reason, (module,))
    if len(sizes) < 2 or len(measured) < FEWEST_SIZES:
        reason = f"{len(sizes)} {axis} value(s) and {len(measured)} run(s) give no slope"
        return (), AxisCheck(axis, sizes, "cannot say", 0.0, f"{reason}; give three or more")
    slopes = fit_slopes(axis, measured)
    return slopes, _judged(axis, sizes, slopes, steps, level)


def _judged(
    axis: Axis, sizes: tuple[int, ...], slopes: Sequence[Slope], steps: int, level: frozenset[str]
) -> AxisCheck:
    owners = frozenset(slope.module for slope in slopes if slope.quantity == "own update")
    sides = {slope: _side(slope, steps, level, owners) for slope in slopes}
    judged = sorted((s for s in slopes if sides[s]), key=lambda s: -abs(s.slope))
    last = [slope for slope in judged if slope.step == steps]
    if not last:
        reason = "nothing was measured that is not zero; does step(model, batch) call the model?"
        return AxisCheck(axis, sizes, "cannot say", 0.0, reason)
    largest = abs(judged[0].slope)
    beyond = [s for s in judged if min(sides[s] * end for end in s.ci90) > THRESHOLD]
    if beyond:
        modules = _suspects(beyond, slopes)
        named = next(s for s in _by_evidence(beyond, slopes) if s.module == modules[0])
        reason = f"{_described(named)}; beyond {THRESHOLD} in size{_others(modules[1:])}"
        return AxisCheck(axis, sizes, "fail", largest, reason, modules)
    if len(sizes) < FEWEST_SIZES:
        reason = f"only {len(sizes)} {axis}s; give three or more"
        return AxisCheck(axis, sizes, "cannot say", largest, reason)
    unsure = [s for s in last if max(sides[s] * end for end in s.ci90) > SMALLEST_MISTAKE]
    if unsure:
        reason = f"{_described(unsure[0])}, which does not exclude a mistake of "
        reason += f"{SMALLEST_MISTAKE}; give more seeds or a lower rate"
        return AxisCheck(axis, sizes, "cannot say", largest, reason)
    reason = f"largest of {len(judged)} slopes: {_described(judged[0])}"
    return AxisCheck(axis, sizes, "pass", largest, reason)


def _side(slope: Slope, steps: int, level: frozenset[str], owners: frozenset[str]) -> int:
    """The side on which a slope is judged: 1 for growing, -1 for shrinking, 0 for neither."""
    if slope.step == 0 and without_indices(slope.module) not in level:
        return 0
    if slope.slope >= 0:
        return 1
    if slope.quantity == "activation":
        return -1 if slope.step == 0 else 0
    # That a module's update shrinks is its own update's matter where it has one: of zero queries
    # nothing else ever comes, and inside a branch that may shrink with depth.
    shrinks = slope.quantity == "own update" or slope.module not in owners
    return -1 if shrinks and slope.step == steps else 0


def _by_evidence(beyond: Sequence[Slope], slopes: Sequence[Slope]) -> list[Slope]:
    """Those beyond the threshold, the ones that tell where a mistake lies first.

    A wrong initialisation shows in the first output that is too large or too small; a wrong rate
    in the first module, in the order of the forward pass, whose own weights change it too much or
    too little. What follows inherits a wrong size with its input. Everything else, sorted by
    size, only tells that something is wrong.
    """
    order = {slope: place for place, slope in enumerate(slopes)}

    def key(slope: Slope) -> tuple[int, float]:
        if slope.step == 0:
            return 0, order[slope]
        if slope.quantity == "own update":
            return 1, order[slope]
        return 2, -abs(slope.slope)

    return sorted(beyond, key=key)


def _suspects(beyond: Sequence[Slope], slopes: Sequence[Slope]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(slope.module for slope in _by_evidence(beyond, slopes)))


def _others(modules: Sequence[str]) -> str:
    if not modules:
        return ""
    more = f" and {len(modules) - _NAMED} more" if len(modules) > _NAMED else ""
    return f"; also beyond it: {', '.join(modules[:_NAMED])}{more}"


def _described(slope: Slope) -> str:
    low, high = slope.ci90
    return (
        f"{slope.module}'s {slope.quantity} at step {slope.step} scales as {slope.axis}^"
        f"{slope.slope:+.2f} (90 % range {low:+.2f} to {high:+.2f})"
    )


def finite(value: float) -> float | None:
    """The value for JSON, which has no infinity."""
    return value if math.isfinite(value) else None

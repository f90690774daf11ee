"""The coordinate check: do activations and their updates keep their size as the model grows?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.parametrization.coordinates import record
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.slopes import Axis, Key, Slope, fit_slopes
from windtunnel.scale import Scale

Verdict = Literal["pass", "fail", "cannot say"]

# Largest slope, in size, that counts as "keeps its size". Theory says 0 for a right rule and 1/2
# or 1 for a wrong exponent, so the line lies below the smallest mistake. Measured with the
# built-in GPT over five sets of seeds: benchmarks/results/coordinate_check.md.
THRESHOLD = 0.4
_FEWEST_SIZES = 3


@dataclass(frozen=True, slots=True)
class AxisCheck:
    """The verdict along one axis.

    Attributes:
        axis: What grew.
        sizes: The sizes that were built.
        verdict: See `CoordinateCheck`.
        max_abs_slope: Largest slope, in size, of those that are judged.
        reason: One sentence.
    """

    axis: Axis
    sizes: tuple[int, ...]
    verdict: Verdict
    max_abs_slope: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "axis": self.axis,
            "sizes": list(self.sizes),
            "verdict": self.verdict,
            "max_abs_slope": _number(self.max_abs_slope),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the figure: a root mean square, averaged over seeds.

    The mean is geometric, as suits logarithmic axes.
    """

    module: str
    quantity: str
    axis: Axis
    step: int
    size: int
    rms: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "module": self.module,
            "quantity": self.quantity,
            "axis": self.axis,
            "step": self.step,
            "size": self.size,
            "rms": _number(self.rms),
        }


@dataclass(frozen=True, slots=True)
class CoordinateCheck:
    """What the check found.

    Growth is judged after every step, for later ones may saturate; that updates shrink, after the
    last one. An activation may shrink: a readout that starts at random does so by design (slope
    -1/2 at step 0 under muP) until its updates dominate.

    Attributes:
        verdict: `fail` if the 90 % range of a judged slope lies beyond 0.4, `pass` if after the
            last step none reaches beyond, otherwise `cannot say`; the worst of all axes.
        axis: The axis that decided.
        max_abs_slope: Largest judged slope, in size, on any axis.
        reason: One sentence on what decided.
        axes: The verdict along each axis.
        slopes: Everything that was fitted.
        curves: Everything that was measured, for the figure.
    """

    verdict: Verdict
    axis: Axis
    max_abs_slope: float
    reason: str
    axes: tuple[AxisCheck, ...]
    slopes: tuple[Slope, ...]
    curves: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what is not finite becomes null."""
        return {
            "verdict": self.verdict,
            "axis": self.axis,
            "max_abs_slope": _number(self.max_abs_slope),
            "threshold": THRESHOLD,
            "reason": self.reason,
            "axes": [axis.to_json() for axis in self.axes],
            "slopes": [slope.to_json() for slope in self.slopes],
            "curves": [curve.to_json() for curve in self.curves],
        }


def check(
    family: Family,
    *,
    base: Scale,
    widths: Sequence[int],
    depths: Sequence[int] = (),
    batch: Callable[[int], Any],
    lr: float,
    rule: str = "mup",
    optimizer: str = "adamw",
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 5,
    on_progress: Callable[[int, int], None] | None = None,
) -> CoordinateCheck:
    """Train models of several sizes for a few steps and judge how their activations scale.

    The check says that a rule is applied as meant, not that hyperparameters will transfer:
    measure that too. One wrong rate can hide in a layer whose output changes more through its
    input than through its own weights, as a branch's last one does.

    Args:
        family: What to build and how to compute its loss.
        base: Scale at which the rate is quoted, and the size along the other axis.
        widths: Widths to compare, at base's depth; at least three for a verdict.
        depths: Depths to compare, at base's width. Begin at 4: in shallower stacks the share of
            the stream that lies before the average branch still grows with depth.
        batch: From a seed to the one batch that run trains on; on the device of the model.
        lr: Learning rate at base. Near the largest that trains, seeds scatter and the check
            can't say; a half or a third of the tuned rate is a good choice.
        rule: The parametrization rule.
        optimizer: Name in `windtunnel.optimizers`.
        seeds: Seeds of initialisation and batch; all sizes share them.
        steps: Optimizer steps. Five are enough for every layer to see every other one's update
            when readout and queries start at zero.
        on_progress: Called with the number of runs done and of all runs.

    Raises:
        WindtunnelError: No size is given, or the family can't be planned.
    """
    axes: dict[Axis, tuple[int, ...]] = {
        "width": tuple(sorted(set(widths))),
        "depth": tuple(sorted(set(depths))),
    }
    total = sum(len(sizes) for sizes in axes.values()) * len(seeds)
    if total == 0:
        raise WindtunnelError("check: no sizes or no seeds; give widths=(32, 64, 128), say")
    batches = {seed: batch(seed) for seed in seeds}
    done = 0
    judged: list[AxisCheck] = []
    slopes: list[Slope] = []
    curves: list[Point] = []
    for axis, sizes in axes.items():
        measured: dict[tuple[int, int], dict[Key, float]] = {}
        for size in sizes:
            target = base.replace(width=size) if axis == "width" else base.replace(depth=size)
            planned = plan(family, base, target, rule, optimizer)
            for seed in seeds:
                run = record(family, planned, batch=batches[seed], lr=lr, seed=seed, steps=steps)
                measured[size, seed] = run if axis == "width" else _over_blocks(run)
                done += 1
                if on_progress is not None:
                    on_progress(done, total)
        if sizes:
            found, verdict = _judge(axis, sizes, measured, steps)
            slopes.extend(found)
            judged.append(verdict)
            curves.extend(_curves(axis, measured))
    order = ("fail", "cannot say", "pass")
    worst = min(judged, key=lambda axis: (order.index(axis.verdict), -axis.max_abs_slope))
    return CoordinateCheck(
        verdict=worst.verdict,
        axis=worst.axis,
        max_abs_slope=max(axis.max_abs_slope for axis in judged),
        reason=worst.reason,
        axes=tuple(judged),
        slopes=tuple(slopes),
        curves=tuple(curves),
    )


def _judge(
    axis: Axis,
    sizes: tuple[int, ...],
    measured: dict[tuple[int, int], dict[Key, float]],
    steps: int,
) -> tuple[tuple[Slope, ...], AxisCheck]:
    for (size, _), run in measured.items():
        if not all(map(math.isfinite, run.values())):
            module = next(key[0] for key, value in run.items() if not math.isfinite(value))
            reason = f"{module} is not finite at {axis} {size}: the learning rate is too high there"
            return (), AxisCheck(axis, sizes, "fail", math.inf, reason)
    if len(sizes) < 2 or len(measured) < _FEWEST_SIZES:
        reason = f"{len(sizes)} {axis} value(s) and {len(measured)} run(s) give no slope"
        return (), AxisCheck(axis, sizes, "cannot say", 0.0, f"{reason}; give three or more")
    slopes = fit_slopes(axis, measured)
    judged = sorted((s for s in slopes if _side(s, steps)), key=lambda s: -abs(s.slope))
    last = [slope for slope in judged if slope.step == steps]
    if not last:
        reason = "nothing was measured that is not zero; does step(model, batch) call the model?"
        return slopes, AxisCheck(axis, sizes, "cannot say", 0.0, reason)
    beyond = [s for s in judged if min(_side(s, steps) * end for end in s.ci90) > THRESHOLD]
    unsure = [s for s in last if max(_side(s, steps) * end for end in s.ci90) > THRESHOLD]
    verdict: Verdict
    if beyond:
        verdict, reason = "fail", f"{_described(beyond[0])}; at most {THRESHOLD} is allowed"
    elif len(sizes) < _FEWEST_SIZES:
        verdict, reason = "cannot say", f"only {len(sizes)} {axis}s; give three or more"
    elif unsure:
        verdict = "cannot say"
        reason = f"{_described(unsure[0])}, across {THRESHOLD}; give more seeds or a lower rate"
    else:
        verdict, reason = "pass", f"largest of {len(judged)} slopes: {_described(judged[0])}"
    return slopes, AxisCheck(axis, sizes, verdict, abs(judged[0].slope), reason)


def _side(slope: Slope, steps: int) -> int:
    """The side on which a slope is judged: 1 for growing, -1 for shrinking, 0 for neither."""
    if slope.step == 0:
        return 0
    if slope.slope >= 0:
        return 1
    return -1 if slope.quantity == "update" and slope.step == steps else 0


def _described(slope: Slope) -> str:
    low, high = slope.ci90
    return (
        f"{slope.module}'s {slope.quantity} at step {slope.step} scales as {slope.axis}^"
        f"{slope.slope:+.2f} (90 % range {low:+.2f} to {high:+.2f})"
    )


def _over_blocks(run: dict[Key, float]) -> dict[Key, float]:
    """Root mean square over blocks, so that models of different depth can be compared."""
    squares: dict[Key, list[float]] = {}
    for (module, quantity, step), value in run.items():
        squares.setdefault((without_indices(module), quantity, step), []).append(value * value)
    return {key: math.sqrt(sum(values) / len(values)) for key, values in squares.items()}


def _curves(axis: Axis, measured: dict[tuple[int, int], dict[Key, float]]) -> Iterable[Point]:
    sizes = dict.fromkeys(size for size, _ in measured)
    for size in sizes:
        runs = [run for (other, _), run in measured.items() if other == size]
        for module, quantity, step in runs[0]:
            values = [run[key] for run in runs if (key := (module, quantity, step)) in run]
            mean = math.exp(sum(math.log(value) for value in values) / len(values))
            yield Point(module, quantity, axis, step, size, mean)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

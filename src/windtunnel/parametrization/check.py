"""The coordinate check: do activations and their updates keep their size as the model grows?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.parametrization.coordinates import record
from windtunnel.parametrization.expectations import drawn_level
from windtunnel.parametrization.names import without_indices
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.parametrization.rule import Rule
from windtunnel.parametrization.slopes import Axis, Key, Slope
from windtunnel.parametrization.verdict import THRESHOLD, AxisCheck, Verdict, finite, judge
from windtunnel.scale import Scale

if TYPE_CHECKING:
    from windtunnel.parametrization.plan import Optimizer


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
            "rms": finite(self.rms),
        }


@dataclass(frozen=True, slots=True)
class CoordinateCheck:
    """What the check found.

    Growth is judged after every step, for later ones may saturate; that updates shrink, after the
    last one, as is what each module's own weights changed. An activation may shrink: a readout
    that starts at random does so by design (slope -1/2 at step 0 under muP) until its updates
    dominate. At initialisation all other matrices' outputs are judged, on both sides.

    Attributes:
        verdict: `fail` if the 90 % range of a judged slope lies beyond 0.3, `pass` if after the
            last step none reaches 0.5, the smallest mistake in theory, otherwise `cannot say`;
            the worst of all axes.
        axis: The axis that decided.
        max_abs_slope: Largest judged slope, in size, on any axis.
        reason: One sentence on what decided; on a failure it names the module.
        modules: Modules beyond the threshold, the one that explains the others first.
        axes: The verdict along each axis.
        slopes: Everything that was fitted.
        curves: Everything that was measured, for the figure.
    """

    verdict: Verdict
    axis: Axis
    max_abs_slope: float
    reason: str
    modules: tuple[str, ...]
    axes: tuple[AxisCheck, ...]
    slopes: tuple[Slope, ...]
    curves: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what is not finite becomes null."""
        return {
            "verdict": self.verdict,
            "axis": self.axis,
            "max_abs_slope": finite(self.max_abs_slope),
            "threshold": THRESHOLD,
            "reason": self.reason,
            "modules": list(self.modules),
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
    rule: str | Rule = "mup",
    optimizer: Optimizer = "adamw",
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 5,
    on_progress: Callable[[int, int], None] | None = None,
) -> CoordinateCheck:
    """Train models of several sizes for a few steps and judge how their activations scale.

    The check says that a rule is applied as meant, not that hyperparameters will transfer:
    measure that too.

    Args:
        family: What to build and how to compute its loss.
        base: Scale at which the rate is quoted, and the size along the other axis.
        widths: Widths to compare, at base's depth; at least three for a verdict.
        depths: Depths to compare, at base's width. Begin at 4: in shallower stacks the share of
            the stream that lies before the average branch still grows with depth.
        batch: From a seed to the one batch that run trains on; on the device of the model.
        lr: Learning rate at base. Near the largest that trains, seeds scatter and the check
            can't say; a half or a third of the tuned rate is a good choice.
        rule: The parametrization rule; see `windtunnel.plan`.
        optimizer: Name in `windtunnel.optimizers`, or a `torch.optim.Optimizer` class.
        seeds: Seeds of initialisation and batch; all sizes share them.
        steps: Optimizer steps. Five are enough for every layer to see every other one's update
            when readout and queries start at zero.
        on_progress: Called with the number of runs done and of all runs.

    Raises:
        WindtunnelError: No size is given, or the family can't be planned.
    """
    targets: dict[Axis, list[Scale]] = {
        "width": [base.replace(width=width) for width in sorted(set(widths))],
        "depth": [base.replace(depth=depth) for depth in sorted(set(depths))],
    }
    plans = {
        axis: [plan(family, base, target, rule, optimizer) for target in scales]
        for axis, scales in targets.items()
    }
    return check_plans(
        family,
        plans,
        batch=batch,
        lr=lr,
        optimizer=optimizer,
        seeds=seeds,
        steps=steps,
        on_progress=on_progress,
    )


def check_plans(
    family: Family,
    plans: Mapping[Axis, Sequence[Plan]],
    *,
    batch: Callable[[int], Any],
    lr: float,
    optimizer: Optimizer | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 5,
    on_progress: Callable[[int, int], None] | None = None,
) -> CoordinateCheck:
    """Check plans that were made, or changed, by hand; see `check`.

    Args:
        family: What the plans are for.
        plans: By axis, one plan a size, all from the same base.
        batch: From a seed to the one batch that run trains on.
        lr: Learning rate at base.
        optimizer: What trains; by default what the plans name.
        seeds: Seeds of initialisation and batch; all sizes share them.
        steps: Optimizer steps.
        on_progress: Called with the number of runs done and of all runs.

    Raises:
        WindtunnelError: There are no plans or no seeds, or a plan doesn't fit the family.
    """
    total = sum(len(along) for along in plans.values()) * len(seeds)
    if total == 0:
        raise WindtunnelError("check: no sizes or no seeds; give widths=(32, 64, 128), say")
    batches = {seed: batch(seed) for seed in seeds}
    done = 0
    judged: list[AxisCheck] = []
    slopes: list[Slope] = []
    curves: list[Point] = []
    for axis, along in plans.items():
        measured: dict[tuple[int, int], dict[Key, float]] = {}
        for planned in along:
            size = planned.target.width if axis == "width" else planned.target.depth
            for seed in seeds:
                run = record(
                    family,
                    planned,
                    batch=batches[seed],
                    lr=lr,
                    seed=seed,
                    steps=steps,
                    optimizer=optimizer,
                )
                measured[size, seed] = run if axis == "width" else _over_blocks(run)
                done += 1
                if on_progress is not None:
                    on_progress(done, total)
        if along:
            sizes = tuple(sorted({size for size, _ in measured}))
            found, verdict = judge(axis, sizes, measured, steps, drawn_level(along[0]))
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
        modules=worst.modules,
        axes=tuple(judged),
        slopes=tuple(slopes),
        curves=tuple(curves),
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

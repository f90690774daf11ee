"""What the sweeps say: how the best rate drifts, what not re-tuning costs, and who wins."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy import stats
from scipy.interpolate import Akima1DInterpolator
from settings import SEEDS, Arm, Setting
from sweeps import Cell, Losses, cells, rates

from windtunnel.laws.optimum import Optimum, Trial, fit_optima
from windtunnel.laws.transfer import Drift, drift

AXES = ("width", "depth")


@dataclass(frozen=True)
class Sweep:
    """One finished sweep.

    Attributes:
        cell: Which.
        losses: By log2 rate, a loss a seed; infinite where the run diverged.
        optimum: Fitted to all of them.
    """

    cell: Cell
    losses: Mapping[int, list[float]]
    optimum: Optimum

    def log_loss(self, seed: int, log2_lr: float) -> float:
        """A seed's log loss between its rates; infinite beside a diverged run, else outside NaN."""
        known = sorted((rate, at[seed]) for rate, at in self.losses.items())
        finite = [(rate, math.log(loss)) for rate, loss in known if math.isfinite(loss)]
        low, high = finite[0][0], finite[-1][0]
        if low <= log2_lr <= high and all(
            math.isfinite(loss) for rate, loss in known if abs(rate - log2_lr) < 1
        ):
            return float(Akima1DInterpolator(*zip(*finite, strict=True))(log2_lr))
        return math.inf if known[0][0] <= log2_lr <= known[-1][0] else math.nan


@dataclass(frozen=True)
class Difference:
    """A mean over seeds, paired, in percent of the loss, with its 90 % t range."""

    percent: float
    ci90: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what is not finite is null."""
        numbers = (self.percent, *self.ci90)
        percent, low, high = (x if math.isfinite(x) else None for x in numbers)
        return {"percent": percent, "ci90": [low, high]}


@dataclass(frozen=True)
class Line:
    """One rule along one axis.

    Attributes:
        arm: The rule and its optimizer.
        axis: `width` or `depth`.
        sweeps: By size, those that are finished.
        missing: Sizes whose sweep is not.
        drift: Octaves of the best rate in an octave of size; None below two bracketed optima.
        paid: At the largest size, with the base's best rate instead of its own.
        against_sp: At the largest size, tuned, over tuned sp.
        transferred_against_sp: The same with the base's best rate, over tuned sp.
    """

    arm: Arm
    axis: str
    sweeps: Mapping[int, Sweep]
    missing: tuple[int, ...]
    drift: Drift | None
    paid: Difference | None
    against_sp: Difference | None
    transferred_against_sp: Difference | None


def finished_sweeps(
    setting: Setting, arms: tuple[Arm, ...], losses: Losses
) -> dict[tuple[str, int, int], Sweep]:
    """Every whole sweep by arm, width and depth; their optima share their noise."""
    whole: dict[tuple[str, int, int], tuple[Cell, dict[int, list[float]]]] = {}
    for cell in cells(setting, arms):
        found = {
            rate: [losses.get((cell.treatment, rate, seed)) for seed in SEEDS]
            for rate in rates(setting, cell, losses)
        }
        if all(None not in at for at in found.values()):
            whole[cell.arm.name, cell.scale.width, cell.scale.depth] = cell, found  # type: ignore[assignment]
    # Sweeps that two arms share count once in the noise.
    optima = fit_optima(
        {
            cell.treatment: [
                Trial(2.0**rate, loss, seed)
                for rate, at in found.items()
                for seed, loss in zip(SEEDS, at, strict=True)
            ]
            for cell, found in whole.values()
        }
    )
    return {
        place: Sweep(cell, found, optima[cell.treatment]) for place, (cell, found) in whole.items()
    }


def lines(setting: Setting, arms: tuple[Arm, ...], losses: Losses) -> list[Line]:
    """Every rule along every axis."""
    sweeps = finished_sweeps(setting, arms, losses)
    return [_line(setting, arm, axis, sweeps) for axis in AXES for arm in arms]


def _line(
    setting: Setting, arm: Arm, axis: str, sweeps: Mapping[tuple[str, int, int], Sweep]
) -> Line:
    def of(name: str) -> dict[int, Sweep]:
        scales = setting.axis(axis)
        places = {size: (name, scale.width, scale.depth) for size, scale in scales.items()}
        return {size: sweeps[place] for size, place in places.items() if place in sweeps}

    own, standard = of(arm.name), of("sp")
    sizes = list(setting.axis(axis))
    base, largest = own.get(sizes[0]), own.get(sizes[-1])
    reference = standard.get(sizes[-1])
    paid = against = transferred = None
    if base and largest:
        paid = _paired(largest, base.optimum, largest, largest.optimum)
    if largest and reference:
        against = _paired(largest, largest.optimum, reference, reference.optimum)
    if base and largest and reference:
        transferred = _paired(largest, base.optimum, reference, reference.optimum)
    optima = [sweep.optimum for sweep in own.values()]
    return Line(
        arm=arm,
        axis=axis,
        sweeps=own,
        missing=tuple(size for size in sizes if size not in own),
        drift=drift(list(own), optima) if len(own) > 1 else None,
        paid=paid,
        against_sp=against,
        transferred_against_sp=transferred,
    )


def _paired(one: Sweep, at: Optimum, other: Sweep, other_at: Optimum) -> Difference:
    """Log loss of one sweep at a rate over another's at its own, seed by seed."""
    differences = [
        one.log_loss(seed, at.log2_value) - other.log_loss(seed, other_at.log2_value)
        for seed in SEEDS
    ]
    if not all(map(math.isfinite, differences)):
        worst = max(differences) if not any(map(math.isnan, differences)) else math.nan
        return Difference(worst, (math.nan, math.nan))
    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(SEEDS))
    half = float(stats.t.ppf(0.95, len(SEEDS) - 1)) * error
    ends = (math.expm1(mean - half), math.expm1(mean + half))
    return Difference(100 * math.expm1(mean), (100 * ends[0], 100 * ends[1]))

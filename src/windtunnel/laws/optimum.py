"""The best value of a hyperparameter, from a local fit of log loss against its log2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from windtunnel.errors import WindtunnelError
from windtunnel.laws.solver import Array

# Half-widths (octaves) and heights (log loss above the best) of the two windows.
_QUADRATIC_WINDOW = 2.0, 0.06
_CUBIC_WINDOW = 3.0, 0.15
_CUBIC_VALUES = 6  # distinct values from which a cubic term pays
# What an optimum is off by, in octaves, beyond what independent noise of the runs explains: the
# curve is no polynomial, and neighbouring rates share a seed's luck. Chosen on studies made on a
# busy machine. The slopes in benchmarks/results/quickstart_seeds.json scatter by 0.06 to 0.10
# between seeds, an optimum by 0.09 to 0.15: on a quiet one this errs on the safe side.
_SHAPE_SE = 0.2
# Relative noise of one run before anything is known, and the degrees of freedom it counts for:
# between seeds it is 0.5 to 2 % (benchmarks/results/seed_noise.md), about a curve half of that.
_NOISE_GUESS, _NOISE_GUESS_DOF = 0.005, 3.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One value of the hyperparameter and the loss it gave.

    Attributes:
        value: The hyperparameter.
        loss: Final loss; None, inf or NaN if the run diverged.
        seed: Trials of one seed share its luck: the whole curve lies higher or lower.
    """

    value: float
    loss: float | None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the loss is least.

    Attributes:
        log2_value: Vertex of the fitted curve, never outside the values tried. Without a clear
            minimum, the best value tried.
        se: Standard error of `log2_value` in octaves; infinite where the loss is flat or still
            falling at the edge.
        ci90: 90 % range of `log2_value`, from `se` and a t quantile; (None, None) if infinite.
        loss: Loss at the optimum.
        loss_se: Its standard error.
        curvature: Second derivative of log loss against log2 value, per octave squared.
        curvature_se: Its standard error.
        edge: The side on which a better value may lie beyond what was tried; None when the
            optimum is bracketed. A diverged run on that side counts as a bracket.
        points: Finite trials the curve was fitted to.
        noise: Standard deviation of one run's log loss, pooled over the study.
        dof: Degrees of freedom behind `noise`.
    """

    log2_value: float
    se: float
    ci90: tuple[float | None, float | None]
    loss: float
    loss_se: float
    curvature: float
    curvature_se: float
    edge: Literal["low", "high"] | None
    points: int
    noise: float
    dof: float

    @property
    def value(self) -> float:
        """The hyperparameter itself."""
        return float(2.0**self.log2_value)

    def to_json(self) -> dict[str, Any]:
        """The optimum as plain JSON values; what is infinite becomes null."""
        return {
            "value": self.value,
            "log2_value": self.log2_value,
            "se": self.se if math.isfinite(self.se) else None,
            "ci90": list(self.ci90),
            "loss": self.loss,
            "loss_se": self.loss_se if math.isfinite(self.loss_se) else None,
            "edge": self.edge,
            "points": self.points,
        }


@dataclass(frozen=True, slots=True)
class _Cell:
    """One group: finite trials as log2 values and log losses, diverged ones as walls."""

    x: Array
    y: Array
    walls: Array
    extra_seeds: int  # curves that were moved onto the first seed's, each at a degree of freedom


@dataclass(frozen=True, slots=True)
class _Curve:
    """Least-squares polynomial in z = log2 value - centre, lowest power first."""

    centre: float
    coefficients: Array
    covariance: Array  # for unit noise
    residual_squares: float
    dof: int
    points: int


def fit_optimum(trials: Sequence[Trial]) -> Optimum:
    """The optimum of one group of trials; `fit_optima` shares its noise between groups."""
    return fit_optima({"": trials})[""]


def fit_optima(groups: Mapping[Any, Sequence[Trial]]) -> dict[Any, Optimum]:
    """The optimum in each group (cell) of a study, with one noise level for all.

    Loss against log rate is steeper on the high side, so a wide quadratic puts the optimum too
    low and is too sure of it. Where at least 6 values lie within 3 octaves and 15 % of the best
    loss, a cubic term is fitted along (least error of all definitions tried, and no bias);
    otherwise the quadratic keeps to 2 octaves and 6 %, always with the best value's nearest
    neighbours.
    Diverged trials bound the search but never the curve.

    A seed moves the whole curve of its cell up or down (by 1 % where rates an octave apart differ
    by 2 %), so each seed's curve is first moved onto the mean of all seeds, by the values they
    share: seeds then sharpen the optimum's place instead of blurring it.

    Noise is the pooled residual variance of all groups (replicates included), joined with a
    guess of 0.5 % that weighs as much as three degrees of freedom.

    Args:
        groups: Trials by any key.

    Returns:
        One optimum a group, under the same keys.

    Raises:
        WindtunnelError: A value or a loss that is not positive, or a group in which no value gave
            a finite loss.
    """
    cells = {key: _checked(key, trials) for key, trials in groups.items()}
    curves = {key: _local_curve(cell) for key, cell in cells.items()}
    found = [curve for curve in curves.values() if curve is not None]
    dof = sum(curve.dof for curve in found) + _NOISE_GUESS_DOF
    squares = sum(curve.residual_squares for curve in found) + _NOISE_GUESS_DOF * _NOISE_GUESS**2
    noise = math.sqrt(squares / dof)
    return {key: _optimum(cell, curves[key], noise, dof) for key, cell in cells.items()}


def _checked(key: Any, trials: Sequence[Trial]) -> _Cell:
    x, y, seeds, walls = [], [], [], []
    for trial in trials:
        if not (math.isfinite(trial.value) and trial.value > 0):
            raise WindtunnelError(
                f"optimum {key}: the value {trial.value} is not a positive number"
            )
        if trial.loss is None or not math.isfinite(trial.loss):
            walls.append(math.log2(trial.value))
        elif trial.loss <= 0:
            raise WindtunnelError(f"optimum {key}: the loss {trial.loss} is not positive")
        else:
            x.append(math.log2(trial.value))
            y.append(math.log(trial.loss))
            seeds.append(trial.seed)
    if not x:
        raise WindtunnelError(
            f"optimum {key}: no value gave a finite loss; try values well below "
            + (f"{2 ** min(walls):.3g}" if walls else "the usual ones")
        )
    # Values that differ by rounding only are one value.
    values = np.round(np.array(x), 9)
    levelled, moved = _without_seed_levels(values, np.array(y), np.array(seeds))
    return _Cell(values, levelled, np.array(walls), moved)


def _without_seed_levels(x: Array, y: Array, seeds: np.ndarray) -> tuple[Array, int]:
    """Log losses with every seed's curve moved onto the seeds' mean, and how many were moved."""
    names, counts = np.unique(seeds, return_counts=True)
    first = names[counts.argmax()]
    levels = np.zeros_like(y)
    offsets = [0.0]
    for name in names[names != first]:
        own, others = seeds == name, seeds == first
        shared = np.intersect1d(x[own], x[others])
        if not shared.size:
            continue
        offset = float(
            np.mean([y[own & (x == at)].mean() - y[others & (x == at)].mean() for at in shared])
        )
        levels[own] = offset
        offsets.append(offset)
    return y - levels + float(np.mean(offsets)), len(offsets) - 1


def _means(cell: _Cell) -> tuple[Array, Array]:
    """Distinct values in order, and the mean log loss of each."""
    values, index = np.unique(cell.x, return_inverse=True)
    return values, np.bincount(index, weights=cell.y) / np.bincount(index)


def _local_curve(cell: _Cell) -> _Curve | None:
    """The cubic where it has the points, else the quadratic; None below three values."""
    values, means = _means(cell)
    best = int(means.argmin())
    height = means - means[best]
    distance = np.abs(values - values[best])
    wide = (distance <= _CUBIC_WINDOW[0]) & (height <= _CUBIC_WINDOW[1])
    if wide.sum() >= _CUBIC_VALUES:
        cubic = _least_squares(cell, values[wide], float(values[best]), degree=3)
        if _vertex(cubic) is not None:
            return cubic
    near = (distance <= _QUADRATIC_WINDOW[0]) & (height <= _QUADRATIC_WINDOW[1])
    near[max(0, best - 1) : best + 2] = True
    # At an end of the range the nearest three still tell which way the loss falls.
    near[np.argsort(distance, kind="stable")[:3]] = True
    if near.sum() < 3:
        return None
    return _least_squares(cell, values[near], float(values[best]), degree=2)


def _least_squares(cell: _Cell, values: Array, centre: float, *, degree: int) -> _Curve:
    used = np.isin(cell.x, values)
    basis = np.vander(cell.x[used] - centre, degree + 1, increasing=True)
    inverse = np.linalg.pinv(basis)
    coefficients = inverse @ cell.y[used]
    residuals = cell.y[used] - basis @ coefficients
    return _Curve(
        centre=centre,
        coefficients=coefficients,
        covariance=inverse @ inverse.T,
        residual_squares=float(residuals @ residuals),
        dof=max(0, int(used.sum()) - degree - 1 - cell.extra_seeds),
        points=int(used.sum()),
    )


def _vertex(curve: _Curve) -> float | None:
    """Where the curve has its minimum, from the centre; None if it has none."""
    _, c1, c2, *rest = (float(c) for c in curve.coefficients)
    c3 = rest[0] if rest else 0.0
    inside = c2 * c2 - 3 * c1 * c3
    if inside <= 0 or c2 + math.sqrt(inside) <= 0:
        return None
    return -c1 / (c2 + math.sqrt(inside))


def _optimum(cell: _Cell, curve: _Curve | None, noise: float, dof: float) -> Optimum:
    values, means = _means(cell)
    best = int(means.argmin())
    low_end, high_end = best == 0, best == len(values) - 1
    wall_below = cell.walls[cell.walls < values[best]]
    wall_above = cell.walls[cell.walls > values[best]]
    edge: Literal["low", "high"] | None = None
    if high_end and not wall_above.size:
        edge = "high"
    elif low_end and not wall_below.size:
        edge = "low"
    lowest = float(wall_below.max()) if low_end and wall_below.size else float(values[0])
    highest = float(wall_above.min()) if high_end and wall_above.size else float(values[-1])

    def answer(
        at: float, se: float, log_loss: float, loss_se: float, bend: float, bend_se: float
    ) -> Optimum:
        reach = float(stats.t.ppf(0.95, dof)) * se
        loss = math.exp(log_loss)
        return Optimum(
            log2_value=at,
            se=se,
            ci90=(at - reach, at + reach) if math.isfinite(se) else (None, None),
            loss=loss,
            loss_se=loss * loss_se,
            curvature=bend,
            curvature_se=bend_se,
            edge=edge,
            points=curve.points if curve else cell.x.size,
            noise=noise,
            dof=dof,
        )

    without = answer(float(values[best]), math.inf, float(means[best]), noise, 0.0, math.inf)
    vertex = None if curve is None or edge is not None else _vertex(curve)
    if curve is None or vertex is None:
        return without
    powers = np.arange(curve.coefficients.size)
    covariance = noise**2 * curve.covariance
    slope_row = powers * np.power(vertex, np.maximum(powers - 1, 0))
    bend_row = powers * (powers - 1) * np.power(vertex, np.maximum(powers - 2, 0))
    bend = float(bend_row @ curve.coefficients)
    bend_se = math.sqrt(float(bend_row @ covariance @ bend_row))
    if bend <= float(stats.t.ppf(0.95, dof)) * bend_se:
        return without
    # Implicit derivative of the vertex: dz = -(d slope) / bend.
    se = math.sqrt(float(slope_row @ covariance @ slope_row)) / bend
    se = math.hypot(se, _SHAPE_SE)
    at = curve.centre + vertex
    if not lowest <= at <= highest:
        se = math.hypot(se, at - min(max(at, lowest), highest))
        at = min(max(at, lowest), highest)
    level_row = np.power(at - curve.centre, powers)
    level = float(level_row @ curve.coefficients)
    level_se = math.sqrt(float(level_row @ covariance @ level_row))
    return answer(at, se, level, level_se, bend, bend_se)

"""Slopes of log root mean square against log size, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

Axis = Literal["width", "depth"]
Key = tuple[str, str, int]  # module, quantity (see Slope), step


@dataclass(frozen=True, slots=True)
class Slope:
    """How one measured size grows along one axis.

    Attributes:
        module: Name of the module; along depth, with `*` for the block.
        quantity: `activation`; `update`, its change since step 0; or `own update`, what the
            module's own weights changed in it since then.
        axis: What grows.
        step: Optimizer steps taken.
        slope: Of log2 root mean square on log2 size.
        ci90: Its 90 % range, from Student's t over sizes and seeds.
    """

    module: str
    quantity: str
    axis: Axis
    step: int
    slope: float
    ci90: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "module": self.module,
            "quantity": self.quantity,
            "axis": self.axis,
            "step": self.step,
            "slope": self.slope,
            "ci90": list(self.ci90),
        }


def fit_slope(sizes: Iterable[float], values: Iterable[float]) -> tuple[float, tuple[float, float]]:
    """Least squares of log2 value on log2 size, with its 90 % t interval.

    Args:
        sizes: One for each value, positive; at least three, and at least two that differ.
        values: Positive.

    Returns:
        The slope, and the ends of its interval.
    """
    x, y = (np.log2(np.array(list(numbers), dtype=float)) for numbers in (sizes, values))
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    residuals = y - y.mean() - slope * centred
    error = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / spread)
    half = float(stats.t.ppf(0.95, len(x) - 2)) * error
    return slope, (slope - half, slope + half)


def fit_slopes(
    axis: Axis, measured: Mapping[tuple[int, int], Mapping[Key, float]]
) -> tuple[Slope, ...]:
    """Fit everything that was measured in every run.

    Args:
        axis: What the sizes are.
        measured: By size and seed, root mean squares; those that are zero left out.
    """
    runs = list(measured.values())
    sizes = [size for size, _ in measured]
    slopes = []
    for key in runs[0]:
        if all(key in run for run in runs):
            slope, ci90 = fit_slope(sizes, (run[key] for run in runs))
            slopes.append(Slope(key[0], key[1], axis, key[2], slope, ci90))
    return tuple(slopes)

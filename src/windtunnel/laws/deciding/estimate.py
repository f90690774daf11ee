"""A number with its 90 % range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 90 % range, which holds the number.

    Attributes:
        value: What the fitted law says; infinite where it can't be reached.
        ci90: 5 % and 95 % of what the law's draws say, an end infinite where they do not reach it.
    """

    value: float
    ci90: tuple[float, float]

    @staticmethod
    def of(value: float, drawn: Array, *, widening: float = 1.0, positive: bool = True) -> Estimate:
        """The range of a number over draws.

        Args:
            value: By the fitted law.
            drawn: (m,) by each draw; infinities are kept, NaN is not allowed.
            widening: Factor on the distance from the value to each end (`Spread.widening`).
            positive: Distances are ratios, as suits sizes and costs; differences otherwise.
        """
        low, high = (float(end) for end in np.quantile(drawn, [0.05, 0.95], method="nearest"))
        if not math.isfinite(value):
            return Estimate(value, (low, value))
        if positive:
            return Estimate(
                value,
                (
                    value * min(1.0, (low / value) ** widening),
                    value * max(1.0, (high / value) ** widening),
                ),
            )
        return Estimate(
            value,
            (value - widening * max(0.0, value - low), value + widening * max(0.0, high - value)),
        )

    def through(self, function: Callable[[float], float]) -> Estimate:
        """The same through a monotone function."""
        ends = [function(end) for end in self.ci90]
        return Estimate(function(self.value), (min(ends), max(ends)))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinite becomes null."""
        return {"value": _number(self.value), "ci90": [_number(end) for end in self.ci90]}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

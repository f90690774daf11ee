"""What other sizes would cost in loss at the same compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.laws.deciding.compute import FlopsPerToken, six_per_parameter
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.surface import Metric, surface_of
from windtunnel.laws.law import Law


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another size at equal compute.

    Attributes:
        times: Its parameters over the plan's.
        params: Its parameters.
        tokens: Its tokens.
        loss_change: Share of the plan's loss by which its own is higher; one run's noise is not
            in the range, and what both have in common cancels.
    """

    times: float
    params: float
    tokens: float
    loss_change: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "times": self.times,
            "params": self.params,
            "tokens": self.tokens,
            "loss_change": self.loss_change.to_json(),
        }


def alternatives(
    law: Law,
    params: float,
    flops: float,
    *,
    times: tuple[float, ...] = (0.5, 2.0),
    fixed: Mapping[str, float] | None = None,
    flops_per_token: FlopsPerToken = six_per_parameter,
) -> tuple[Alternative, ...]:
    """Other sizes for one budget.

    Args:
        law: Of a form with parameters and tokens.
        params: The plan's size.
        flops: The budget.
        times: The other sizes, over the plan's.
        fixed: The form's other inputs.
        flops_per_token: Training FLOPs a token, by parameters.
    """
    surface = surface_of(law, fixed)
    found = []
    for factor in times:
        sizes = np.array([params, factor * params])
        tokens = flops / flops_per_token(sizes)

        def change(metric: Metric, sizes: np.ndarray = sizes, tokens: np.ndarray = tokens) -> float:
            planned, other = metric(sizes, tokens)
            return float((other - planned) / abs(planned))

        found.append(
            Alternative(
                factor,
                float(sizes[1]),
                float(tokens[1]),
                surface.estimate(change, positive=False),
            )
        )
    return tuple(found)

"""Every way to one loss, and what a model smaller than the cheapest of them costs more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.compute import FlopsPerToken, six_per_parameter
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.deciding.least import least
from windtunnel.laws.deciding.optimum import optimal_params
from windtunnel.laws.deciding.surface import Metric, surface_of
from windtunnel.laws.deciding.tokens_for import tokens_for
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array

_SPAN = 100.0  # the curve is drawn from a hundredth of the cheapest size to a hundred times it


@dataclass(frozen=True, slots=True)
class IsoLoss:
    """Models that reach one loss by the fitted law.

    Attributes:
        loss: The loss.
        params: (n,) sizes.
        tokens: (n,) tokens each of them needs; infinite where none are enough.
        flops: (n,) training FLOPs each of them needs.
        cheapest_params: Size that reaches it with the least compute.
        cheapest_tokens: Its tokens.
        cheapest_flops: That compute.
    """

    loss: float
    params: Array
    tokens: Array
    flops: Array
    cheapest_params: Estimate
    cheapest_tokens: Estimate
    cheapest_flops: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; sizes that cannot reach the loss are left out."""
        reach = np.isfinite(self.tokens)
        return {
            "loss": self.loss,
            "params": self.params[reach].tolist(),
            "tokens": self.tokens[reach].tolist(),
            "flops": self.flops[reach].tolist(),
            "cheapest": {
                "params": self.cheapest_params.to_json(),
                "tokens": self.cheapest_tokens.to_json(),
                "flops": self.cheapest_flops.to_json(),
            },
        }


def iso_loss(
    law: Law,
    loss: float,
    *,
    fixed: Mapping[str, float] | None = None,
    flops_per_token: FlopsPerToken = six_per_parameter,
    points: int = 81,
) -> IsoLoss:
    """Trace the models that reach a loss.

    Args:
        law: Of a form with parameters and tokens.
        loss: What is to be reached.
        fixed: The form's other inputs.
        flops_per_token: Training FLOPs a token, by parameters.
        points: How many sizes.

    Raises:
        WindtunnelError: No size and no number of tokens reaches it, or the law can't be asked.
    """
    surface = surface_of(law, fixed)

    def cheapest(metric: Metric) -> tuple[float, float, float]:
        params = float(_cheapest_params(metric, loss, flops_per_token))
        tokens = float(tokens_for(metric, np.array(params), loss))
        return params, tokens, tokens * float(flops_per_token(np.array(params)))

    best = cheapest(surface.best)
    if not (math.isfinite(loss) and math.isfinite(best[2])):
        raise WindtunnelError(
            f"iso-loss: no size and no number of tokens reaches {loss:g} by this law; ask for a "
            "higher one"
        )
    drawn = np.array([cheapest(metric) for metric in surface.drawn])
    ranges = [
        Estimate.of(value, each, widening=law.spread.widening)
        for value, each in zip(best, drawn.T, strict=True)
    ]
    params = best[0] * np.geomspace(1 / _SPAN, _SPAN, points)
    tokens = tokens_for(surface.best, params, loss)
    return IsoLoss(loss, params, tokens, tokens * flops_per_token(params), *ranges)


def _cheapest_params(metric: Metric, loss: float, flops_per_token: FlopsPerToken) -> float:
    def cost(logs: Array) -> Array:
        params = np.exp(logs)
        return np.log(tokens_for(metric, params, loss)) + np.log(flops_per_token(params))

    return float(np.exp(least(cost, np.log([1e3]), np.log([1e18]))[0]))


def overtraining_price(
    law: Law,
    flops: float,
    times_smaller: float,
    *,
    fixed: Mapping[str, float] | None = None,
    flops_per_token: FlopsPerToken = six_per_parameter,
) -> Estimate:
    """How many times the compute it takes to reach a budget's best loss with a smaller model.

    For the Chinchilla form: with N and D compute-optimal, D_k from
    A k^alpha / N^alpha + B / D_k^beta = A / N^alpha + B / D^beta, the price is D_k / (k D)
    (as de Vries 2023, "Go smol or go home").

    Args:
        law: Of a form with parameters and tokens.
        flops: The budget whose loss is to be reached.
        times_smaller: k; below 1 for a larger model.
        fixed: The form's other inputs.
        flops_per_token: Training FLOPs a token, by parameters.

    Returns:
        A ratio, 1 or more; infinite where so small a model never gets there.

    Raises:
        WindtunnelError: The budget or the factor is no positive number, or the law can't be
            asked.
    """
    for name, value in (("budget", flops), ("factor", times_smaller)):
        if not (math.isfinite(value) and value > 0):
            raise WindtunnelError(f"over-training: the {name} {value} is not a positive number")

    def price(metric: Metric) -> float:
        best = optimal_params(metric, np.array([flops]), flops_per_token=flops_per_token)
        loss = float(metric(best, flops / flops_per_token(best))[0])
        small = best / times_smaller
        tokens = tokens_for(metric, small, loss)
        return max(1.0, float(tokens[0] * flops_per_token(small)[0] / flops))

    return surface_of(law, fixed).estimate(price)

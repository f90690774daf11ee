"""How much smaller to make a model that will be asked often (Sardana et al. 2024, 2401.00448)."""

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
from windtunnel.laws.deciding.optimum import optimal_params, size_bounds
from windtunnel.laws.deciding.surface import Metric, surface_of
from windtunnel.laws.deciding.tokens_for import tokens_for
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array

_DRAWS = 100  # a search within a search for each
SERVING_FLOPS = 2.0  # a parameter and token: the forward pass alone (Kaplan et al. 2020)


@dataclass(frozen=True, slots=True)
class InferenceAware:
    """The model that is cheapest to train and serve.

    Attributes:
        params: Parameters.
        tokens: Training tokens.
        loss: What the law says of it.
        training_flops: Of its training.
        total_flops: Training and serving together, a served FLOP counted `serving_cost` times.
        saving: Share of the total that it saves against the compute-optimal model of the same
            loss; None where the total was what was given.
    """

    params: Estimate
    tokens: Estimate
    loss: float
    training_flops: Estimate
    total_flops: Estimate
    saving: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "params": self.params.to_json(),
            "tokens": self.tokens.to_json(),
            "law_loss": self.loss,
            "training_flops": self.training_flops.to_json(),
            "total_flops": self.total_flops.to_json(),
            "saving": None if self.saving is None else self.saving.to_json(),
        }


def cheapest_to_serve(
    law: Law,
    flops: float,
    served_tokens: float,
    *,
    serving_cost: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    flops_per_token: FlopsPerToken = six_per_parameter,
) -> InferenceAware:
    """Reach the loss that a training budget could, at the least cost of training and serving.

    Minimises 6 N D + 2 N S over L(N, D) = L_opt(C), for S served tokens (Sardana et al. 2024,
    equation 3).

    Args:
        law: Of a form with parameters and tokens.
        flops: The training budget whose best loss is to be reached.
        served_tokens: Tokens read and written over the model's life.
        serving_cost: What a served FLOP costs, in trained ones: above 1 where serving uses the
            hardware worse than training does, as it mostly does.
        fixed: The form's other inputs.
        flops_per_token: Training FLOPs a token, by parameters.

    Raises:
        WindtunnelError: An amount is no positive number, or the law can't be asked.
    """
    _check(flops, served_tokens, serving_cost)
    surface = surface_of(law, fixed)
    served = SERVING_FLOPS * serving_cost * served_tokens

    def solve(metric: Metric) -> tuple[float, ...]:
        best = optimal_params(metric, np.array([flops]), flops_per_token=flops_per_token)
        loss = float(metric(best, flops / flops_per_token(best))[0])

        def total(logs: Array) -> Array:
            params = np.exp(logs)
            tokens = tokens_for(metric, params, loss)
            return np.log(tokens * flops_per_token(params) + params * served)

        # The more is served the smaller the model: the compute-optimal one is the largest.
        params = np.exp(least(total, np.log(best) - math.log(1e4), np.log(best) + 0.1))
        tokens = tokens_for(metric, params, loss)
        training = float((tokens * flops_per_token(params))[0])
        whole = training + float(params[0]) * served
        before = flops + float(best[0]) * served
        return float(params[0]), float(tokens[0]), training, whole, 1 - whole / before, loss

    return _collect(law, solve(surface.best), [solve(metric) for metric in surface.drawn[:_DRAWS]])


def best_within(
    law: Law,
    total_flops: float,
    served_tokens: float,
    *,
    serving_cost: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    flops_per_token: FlopsPerToken = six_per_parameter,
) -> InferenceAware:
    """The best loss for a budget that must pay for training and for serving.

    Args:
        law: Of a form with parameters and tokens.
        total_flops: For both, a served FLOP counted `serving_cost` times.
        served_tokens: Tokens read and written over the model's life.
        serving_cost: See `cheapest_to_serve`.
        fixed: The form's other inputs.
        flops_per_token: Training FLOPs a token, by parameters.

    Raises:
        WindtunnelError: An amount is no positive number, or the law can't be asked.
    """
    _check(total_flops, served_tokens, serving_cost)
    surface = surface_of(law, fixed)
    served = SERVING_FLOPS * serving_cost * served_tokens
    _, high = size_bounds(np.array([total_flops]), flops_per_token)
    most = min(float(high[0]), total_flops / served)

    def solve(metric: Metric) -> tuple[float, ...]:
        def tokens_left(params: Array) -> Array:
            return (total_flops - params * served) / flops_per_token(params)

        def loss(logs: Array) -> Array:
            params = np.exp(logs)
            tokens = tokens_left(params)
            fits = tokens >= 1
            return np.where(fits, metric(params, np.where(fits, tokens, 1.0)), np.inf)

        params = np.exp(least(loss, np.log([most]) - math.log(1e8), np.log([most])))
        tokens = tokens_left(params)
        training = float((tokens * flops_per_token(params))[0])
        reached = float(metric(params, tokens)[0])
        return float(params[0]), float(tokens[0]), training, total_flops, math.nan, reached

    return _collect(law, solve(surface.best), [solve(metric) for metric in surface.drawn[:_DRAWS]])


def _collect(law: Law, value: tuple[float, ...], drawn: list[tuple[float, ...]]) -> InferenceAware:
    columns = np.array(drawn).T
    widening = law.spread.widening
    params, tokens, training, total = (
        Estimate.of(value[i], columns[i], widening=widening) for i in range(4)
    )
    saving = None
    if not math.isnan(value[4]):
        saving = Estimate.of(value[4], columns[4], widening=widening, positive=False)
    return InferenceAware(params, tokens, value[5], training, total, saving)


def _check(flops: float, served_tokens: float, serving_cost: float) -> None:
    amounts = {"FLOPs": flops, "served tokens": served_tokens, "serving cost": serving_cost}
    for name, value in amounts.items():
        if not (math.isfinite(value) and value > 0):
            raise WindtunnelError(f"serving: {name} {value} is not a positive number")

"""The size that makes the most of a budget of FLOPs."""

from __future__ import annotations

import math

import numpy as np

from windtunnel.laws.deciding.compute import FlopsPerToken, six_per_parameter
from windtunnel.laws.deciding.least import least
from windtunnel.laws.deciding.surface import Metric
from windtunnel.laws.solver import Array

# Tokens a parameter between which the optimum is looked for; published ones are 5 to 200.
FEWEST_TOKENS, MOST_TOKENS = 1e-2, 1e6


def optimal_params(
    metric: Metric,
    flops: Array,
    *,
    flops_per_token: FlopsPerToken = six_per_parameter,
    most_tokens: float = math.inf,
) -> Array:
    """Parameters at which the metric is least, when tokens are what the budget leaves.

    For the Chinchilla form and 6 N D this is G (C / 6)^(beta / (alpha + beta)) with
    G = (alpha A / (beta B))^(1 / (alpha + beta)) (Hoffmann et al. 2022, equation 4); the search
    agrees with it and serves every form.

    Args:
        metric: The metric over parameters and tokens.
        flops: (budgets,) of training.
        flops_per_token: Training FLOPs a token, by parameters.
        most_tokens: Models that would need more are left aside.

    Returns:
        (budgets,) parameters; an end of `size_bounds` where the metric has no valley in there.
    """
    spend = np.asarray(flops, dtype=float)[:, None]

    def curve(logs: Array) -> Array:
        params = np.exp(logs)
        tokens = spend / flops_per_token(params)
        return np.where(tokens <= most_tokens, metric(params, tokens), np.inf)

    low, high = size_bounds(spend[:, 0], flops_per_token)
    return np.exp(least(curve, np.log(low), np.log(high)))


def size_bounds(flops: Array, flops_per_token: FlopsPerToken) -> tuple[Array, Array]:
    """(budgets,) sizes that would see the most and the fewest tokens a parameter looked at."""
    return _size_with(flops, MOST_TOKENS, flops_per_token), _size_with(
        flops, FEWEST_TOKENS, flops_per_token
    )


def _size_with(flops: Array, tokens_per_param: float, flops_per_token: FlopsPerToken) -> Array:
    """Bisection in the log: FLOPs rise with the size at a fixed ratio."""
    low, high = np.zeros(flops.size), np.full(flops.size, math.log(1e24))
    for _ in range(30):  # to a part in ten million
        middle = (low + high) / 2
        params = np.exp(middle)
        over = flops_per_token(params) * tokens_per_param * params > flops
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.exp(low)

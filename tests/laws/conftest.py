"""Tables whose law is known: Chinchilla's form with Besiroglu's constants, and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

Columns = dict[str, NDArray[np.float64]]
Law = Callable[..., NDArray[np.float64]]
BESIROGLU = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def chinchilla_loss(
    params: NDArray[np.float64],
    tokens: NDArray[np.float64],
    law: Mapping[str, float] = BESIROGLU,
) -> NDArray[np.float64]:
    return law["E"] + law["A"] / params ** law["alpha"] + law["B"] / tokens ** law["beta"]


def isoflop_runs(
    budgets: int = 5,
    ratios: int = 5,
    *,
    noise: float = 0.002,
    seed: int = 0,
    least_ratio: float = 12.0,
    loss: Law = chinchilla_loss,
) -> Columns:
    """Budgets from 1e18 to 1e21 FLOPs, each at several tokens a parameter."""
    spent, apart = np.meshgrid(
        np.geomspace(1e18, 1e21, budgets), np.geomspace(least_ratio, 200, ratios)
    )
    params = np.sqrt(spent / 6 / apart).ravel()
    tokens = spent.ravel() / 6 / params
    stray = np.exp(noise * np.random.default_rng(seed).standard_normal(params.size))
    return {"params": params, "tokens": tokens, "loss": loss(params, tokens) * stray}


@pytest.fixture
def true_loss() -> Law:
    return chinchilla_loss


@pytest.fixture
def runs() -> Callable[..., Columns]:
    return isoflop_runs

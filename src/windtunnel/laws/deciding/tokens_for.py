"""How many tokens a model needs to reach a loss."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.deciding.surface import Metric
from windtunnel.laws.solver import Array

_FEWEST, _MOST = 1.0, 1e24  # where tokens are looked for
_POINTS, _ROUNDS = 33, 5


def tokens_for(metric: Metric, params: Array, loss: float) -> Array:
    """Tokens at which models of these sizes reach a loss.

    Args:
        metric: One that does not rise with tokens.
        params: Sizes, of any shape.
        loss: What is to be reached.

    Returns:
        Tokens, of the same shape; infinite where no number of them is enough.
    """
    sizes = np.asarray(params, dtype=float)
    flat = sizes.ravel()[:, None]
    rows = np.arange(flat.size)
    low = np.full(flat.size, np.log(_FEWEST))
    high = np.full(flat.size, np.log(_MOST))
    share = np.linspace(0.0, 1.0, _POINTS)
    for step in range(_ROUNDS):
        logs = low[:, None] + (high - low)[:, None] * share
        values = metric(flat, np.exp(logs))
        if step == 0:
            reached = values[:, -1] <= loss
        after = np.clip((values <= loss).argmax(axis=1), 1, _POINTS - 1)
        low, high = logs[rows, after - 1], logs[rows, after]
    above, below = values[rows, after - 1] - loss, values[rows, after] - loss
    # Down to a part in a million the curve is a line.
    falls = above > below
    part = np.clip(above / np.where(falls, above - below, 1.0), 0.0, 1.0)
    found = np.exp(low + (high - low) * np.where(falls, part, 0.0))
    return np.where(reached, found, np.inf).reshape(sizes.shape)

"""Where on a line to try next: a Gaussian process and its lower confidence bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_GRID = np.linspace(0.0, 1.0, 257)
_LENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8)
_NOISE = 1e-4  # variance, of scores of variance 1: forecasts of tries on the same batches


def next_candidate(places: Sequence[float], scores: Sequence[float], caution: float) -> float:
    """The place of 0 to 1 where the process' mean less `caution` deviations is least.

    The process has a Matern 5/2 covariance whose length is the likeliest of a few; scores are
    standardised. A large `caution` looks where least is known, a small one where it is good.

    Args:
        places: Where it was tried, in 0 to 1; at least one.
        scores: What came of it; less is better.
        caution: Deviations taken off the mean.

    >>> next_candidate([0.5], [1.0], caution=1e6)
    0.0
    """
    x, y = np.array(places), np.array(scores)
    y = (y - y.mean()) / (y.std() or 1.0)
    length = max(_LENGTHS, key=lambda length: _log_likelihood(x, y, length))
    root = np.linalg.cholesky(_covariance(x, x, length) + _NOISE * np.eye(len(x)))
    across = np.linalg.solve(root, _covariance(x, _GRID, length))
    mean = across.T @ np.linalg.solve(root, y)
    deviation = np.sqrt(np.maximum(0.0, 1 - np.sum(across**2, axis=0)))
    return float(_GRID[np.argmin(mean - caution * deviation)])


def _covariance(a: Values, b: Values, length: float) -> Values:
    far = np.sqrt(5) * np.abs(a[:, None] - b[None, :]) / length
    covariance: Values = (1 + far + far**2 / 3) * np.exp(-far)
    return covariance


def _log_likelihood(x: Values, y: Values, length: float) -> float:
    root = np.linalg.cholesky(_covariance(x, x, length) + _NOISE * np.eye(len(x)))
    white = np.linalg.solve(root, y)
    return float(-white @ white / 2 - np.log(np.diag(root)).sum())

"""Where a short series of losses is heading: an exponential fitted to its smooth part."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import UnivariateSpline
from scipy.optimize import minimize

from windtunnel.errors import WindtunnelError

Values = NDArray[np.float64]

_SHARE = 0.03  # of the points dropped in a round, of training losses
_ROUNDS = 10
_FEWEST = 6  # points that a spline is still drawn through
_RATES = np.linspace(0.0, -14.0, 29)  # ln of the decay's rate: where the simplex may start


def forecast_loss(losses: Sequence[float], at: float, *, validation: bool = False) -> float:
    """What the series comes to, `at` entries after its first.

    `a * exp(b t) + c` with `b < 0` is fitted to the series after a degree-2 smoothing spline took
    its noise: for training losses the 3 % of points farthest from the spline are dropped ten times,
    for validation losses one point once, and only ones in the first half. `b = -exp(u)` is found by
    a simplex with `a` and `c` by linear least squares.

    Source: AutoLRS, Jin et al. 2021 (arXiv 2105.10762), with the constants of the code published
    with it. There the simplex starts at `u = 0`; here at the best of a grid, for from 0
    it often ends in the flat part.

    Args:
        losses: One entry a step, or a validation; at least 6.
        at: Entries from the first one to the forecast.
        validation: Which kind of losses these are.

    Raises:
        WindtunnelError: There are too few losses.

    >>> import math
    >>> losses = [2 + math.exp(-t / 50) for t in range(100)]  # 2.0 in the end
    >>> round(forecast_loss(losses, 1000), 1)
    1.9
    """
    if len(losses) < _FEWEST:
        raise WindtunnelError(
            f"loss forecast: {len(losses)} losses; it needs at least {_FEWEST} to see a curve in."
        )
    steps = np.arange(len(losses), dtype=float)
    kept, values = steps, np.array(losses, dtype=float)
    middle = steps[(len(steps) - 1) // 2]
    for _ in range(1 if validation else _ROUNDS):
        drop = 1 if validation else round(_SHARE * len(kept))
        if drop == 0 or len(kept) - drop < _FEWEST:
            break
        away = np.abs(values - _spline(kept, values)(kept))
        worst = np.argsort(away, kind="stable")[-drop:]
        worst = worst[kept[worst] < middle]
        kept, values = np.delete(kept, worst), np.delete(values, worst)
    smooth = _spline(kept, values)(steps)

    def squares(u: Values) -> float:
        return _fit(steps, smooth, float(u[0]))[2]

    start = min(_RATES, key=lambda u: squares(np.array([u])))
    found = minimize(
        squares, [start], method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-10}
    )
    u = float(found.x[0])
    a, c, _ = _fit(steps, smooth, u)
    return float(a * np.exp(-np.exp(u) * at) + c)


def _spline(steps: Values, values: Values) -> UnivariateSpline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped short of its smoothing: it is smooth
        return UnivariateSpline(steps, values, k=2)


def _fit(steps: Values, values: Values, u: float) -> tuple[float, float, float]:
    design = np.stack([np.exp(-np.exp(u) * steps), np.ones_like(steps)], axis=1)
    (a, c), *_ = np.linalg.lstsq(design, values, rcond=None)
    return float(a), float(c), float(np.sum((design @ np.array([a, c]) - values) ** 2))

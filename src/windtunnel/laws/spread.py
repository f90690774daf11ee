"""How far off forecasts are: noise, drift with distance, and whether 90 % could be checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from windtunnel.laws.law import Spread
from windtunnel.laws.rolling import Foretold
from windtunnel.laws.solver import Array

NORMAL_90 = float(stats.norm.ppf(0.95))
LEAST_GROUPS = 9  # (9 + 1) x 90 % = 9: below, no order statistic of the errors covers 90 %
MOST_WIDENING = 2.0  # by the errors of one table's back-tests
# What lies beyond all rows is farther off than what back-tests inside them met. This factor, and
# the beliefs below (medians, and standard deviations in log: a form drifts by 0.6 % a nat, and
# larger runs are twice as noisy as those it was fitted to), were set once for all tables, on 64
# back-tests of the six in benchmarks/results/laws_back_tests.md: without them 70 % of the rows
# foretold lay in their 90 % ranges.
BEYOND = 1.2
DRIFT_BELIEF = 0.006, 0.3
_NOISIER, _NOISIER_SD = 2.0, 0.2
_FREEDOM = 4.0  # of the errors' Student distribution: a few folds go far astray
_GRID = np.linspace(-2.5, 2.5, 41)  # standard deviations of the beliefs


def spread_of(
    foretold: Sequence[Foretold],
    residuals: Array,
    parameters: int,
    groups: np.ndarray,
    *,
    drift_belief: tuple[float, float] = DRIFT_BELIEF,
    known_noise: float | None = None,
) -> Spread:
    """What the residuals and the back-tests' errors say about the next forecast.

    An error has two parts: one run's noise, and a drift that grows with the distance beyond the
    rows, since a form that is a little wrong goes astray in proportion. Both are set by what the
    back-tests' errors make of the beliefs above, each fold counting as one observation: its rows
    go astray together. Then the range is widened until 90 % of the errors, every fold counting
    the same, lie within it.

    Args:
        foretold: The chosen candidate's, fold by fold.
        residuals: (n,) of its fit to all rows.
        parameters: How many the form has.
        groups: (n,) number of each row's group.
        drift_belief: Median of the drift a nat, and its standard deviation in log.
        known_noise: Of one run, in the form's space, where it was measured: in place of a belief.
            Then what each fold's fit makes of that noise is known too and no sign of drift (the
            beliefs were set on errors that hold it), and the errors of fewer groups than could
            check 90 % widen nothing.
    """
    spent = len(residuals) / max(len(residuals) - parameters, 1)
    inside = max(float(np.quantile(np.abs(residuals), 0.9)) * np.sqrt(spent) / NORMAL_90, 1e-4)
    errors = np.concatenate([one.errors for one in foretold] or [np.empty(0)])
    distance = np.concatenate([one.distance for one in foretold] or [np.empty(0)])
    weight = np.concatenate(
        [np.full(one.errors.size, 1 / one.errors.size) for one in foretold] or [np.empty(0)]
    )
    held = np.unique(np.concatenate([groups[one.rows] for one in foretold] or [[]])).size
    noises = inside * _NOISIER * np.exp(_NOISIER_SD * _GRID)
    leverage = np.zeros_like(errors)
    if known_noise is not None:
        noises = np.full(_GRID.size, known_noise)
        leverage = np.concatenate([one.leverage for one in foretold] or [np.empty(0)])
    drifts = drift_belief[0] * np.exp(drift_belief[1] * _GRID)
    likelihood = _log_likelihood(errors, distance, leverage, noises, drifts) @ weight
    posterior = likelihood - (_GRID[:, None] ** 2 + _GRID[None, :] ** 2) / 2
    i, j = np.unravel_index(int(posterior.argmax()), posterior.shape)
    noise, drift = float(noises[i]), float(drifts[j])
    needed = 1.0
    if errors.size and (known_noise is None or held >= LEAST_GROUPS):
        sizes = np.abs(errors) / np.sqrt(noise**2 * (1 + leverage**2) + (drift * distance) ** 2)
        level = min(0.9 * (1 + 1 / max(held, 1)), 1.0)
        needed = _weighted_quantile(sizes, weight, level) / NORMAL_90
    widening = BEYOND * float(np.clip(needed, 1.0, MOST_WIDENING))
    reach = float(distance.max()) if distance.size else 0.0
    return Spread(noise=noise, drift=drift, widening=widening, groups=int(held), reach=reach)


def _log_likelihood(
    errors: Array, distance: Array, leverage: Array, noises: Array, drifts: Array
) -> Array:
    """(noises, drifts, errors) log density of each error, but for what all have in common."""
    drifted = (drifts[:, None] * distance) ** 2
    found = np.empty((noises.size, *drifted.shape))
    for place, noise in enumerate(noises):
        variance = noise**2 * (1 + leverage**2) + drifted
        tail = np.log1p(errors**2 / (_FREEDOM * variance))
        found[place] = -(_FREEDOM + 1) / 2 * tail - np.log(variance) / 2
    return found


def _weighted_quantile(values: Array, weights: Array, level: float) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(share, level)), values.size - 1)])


def halfwidth(spread: Spread, fit: float, nats: float) -> float:
    """Half of a forecast's 90 % range, in the form's space.

    Args:
        spread: What the range is made of.
        fit: Standard deviation of the law's own prediction there, over its draws.
        nats: Distance beyond the rows.
    """
    variance = spread.noise**2 + fit**2 + (spread.drift * nats) ** 2
    return float(NORMAL_90 * spread.widening * np.sqrt(variance))

"""How forecasts did against what was measured: errors, coverage and width in a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from windtunnel.laws.law import Law, Spread
from windtunnel.laws.rolling import RollingTest
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import LEAST_GROUPS, halfwidth


def scores(errors: Array, halfwidths: Array, weights: Array | None = None) -> dict[str, Any]:
    """Errors and ranges of (n,) forecasts, as shares of the metric.

    Args:
        errors: Foretold less measured.
        halfwidths: Half of each 90 % range.
        weights: Of each forecast.

    Returns:
        n, mean_abs_rel_error, max_abs_rel_error, bias, coverage90 and halfwidth90 (the median).
    """
    weight = np.ones(errors.size) if weights is None else weights
    share = weight / weight.sum()
    return {
        "n": int(errors.size),
        "mean_abs_rel_error": float(share @ np.abs(errors)),
        "max_abs_rel_error": float(np.abs(errors).max()),
        "bias": float(share @ errors),
        "coverage90": float(share @ (np.abs(errors) <= halfwidths)),
        "halfwidth90": float(np.median(halfwidths)),
    }


def scorecard(law: Law, test: RollingTest) -> dict[str, Any]:
    """What the chosen candidate's back-tests say, every fold counting the same."""
    spread = law.spread
    checked = spread.groups >= LEAST_GROUPS
    card: dict[str, Any] = {
        "folds": len(test.foretold),
        "groups": spread.groups,
        "checked": checked,
        "reach": spread.reach,
        "noise": spread.noise,
        "drift": spread.drift,
        "widening": spread.widening,
        "by_fold": [
            {
                "axis": one.fold.axis,
                "fitted_up_to": one.fold.at,
                "foretold": int(one.rows.size),
                "mean_abs_rel_error": float(np.abs(one.errors).mean()),
                "bias": float(one.errors.mean()),
                "distance": float(one.distance.mean()),
            }
            for one in test.foretold
        ],
    }
    if test.foretold:
        errors = np.concatenate([one.errors for one in test.foretold])
        halves = _halfwidths(spread, np.concatenate([one.distance for one in test.foretold]))
        weights = np.concatenate(
            [np.full(one.errors.size, 1 / one.errors.size) for one in test.foretold]
        )
        card |= scores(errors, halves, weights)
    return card


def _halfwidths(spread: Spread, distance: Array) -> Array:
    return np.array([halfwidth(spread, 0.0, nats) for nats in distance])

"""One vectorised solver for robust fits: many problems (starts x resamples) at a time, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | slice
# (problems, k) parameters -> (problems, n) predictions and their (problems, n, k) Jacobian
Model = Callable[[Array], tuple[Array, Array]]

_DAMPING_START, _DAMPING_LEAST, _DAMPING_MOST = 1.0, 1e-9, 1e9


@dataclass(frozen=True, slots=True)
class Prior:
    """Independent Gaussian priors, as a quadratic penalty added to the objective.

    Attributes:
        centre: (k,) or (problems, k).
        precision: (k,) or (problems, k) weight of each squared distance, in the objective's own
            units; 0 is no prior on that parameter.
    """

    centre: Array
    precision: Array


@dataclass(frozen=True, slots=True)
class Solution:
    """Where each problem ended: (problems, k) parameters and (problems,) objectives."""

    parameters: Array
    objective: Array


def huber(residuals: Array, delta: float) -> Array:
    """Huber's loss: `r^2 / 2` up to `delta`, then `delta (|r| - delta / 2)` (Huber 1964)."""
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * residuals**2, delta * (size - 0.5 * delta))


def minimize_huber(
    model: Model,
    start: Array,
    observed: Array,
    *,
    delta: float,
    lower: Array,
    upper: Array,
    weights: Array | None = None,
    prior: Prior | None = None,
    iterations: int = 200,
    tolerance: float = 1e-10,
) -> Solution:
    """Minimise the sum (not the mean) of Huber losses for many problems side by side.

    Levenberg-Marquardt, where the damping leads from Newton's step for Huber's loss (curvature
    only from residuals inside `delta`) to reweighted least squares (curvature from all of them):
    the first ends a fit fast, the second makes progress from anywhere. Each problem has its own
    damping and drops out once a step gains less than `tolerance` of its objective.

    Args:
        model: Predictions and Jacobian for a batch of parameters; row i serves problem i.
        start: (problems, k) first parameters.
        observed: (n,) or (problems, n) values to predict.
        delta: Where Huber's loss turns linear, in the units of the residuals.
        lower: (k,) bounds.
        upper: (k,) bounds.
        weights: (n,) or (problems, n) weight of each residual; ones by default.
        prior: Penalty on the parameters.
        iterations: At most so many steps.
        tolerance: Relative gain below which a problem counts as solved.
    """
    parameters = np.clip(start, lower, upper)
    problems, k = parameters.shape
    weight = np.ones(()) if weights is None else np.asarray(weights)
    centre = (
        np.zeros((problems, k)) if prior is None else np.broadcast_to(prior.centre, start.shape)
    )
    precision = (
        np.zeros((problems, k)) if prior is None else np.broadcast_to(prior.precision, start.shape)
    )

    def objective_of(chosen: Array, rows: Rows, predictions: Array) -> Array:
        residuals = predictions - _rows(observed, rows)
        penalty = 0.5 * (precision[rows] * (chosen - centre[rows]) ** 2).sum(axis=1)
        total: Array = (_rows(weight, rows) * huber(residuals, delta)).sum(axis=1) + penalty
        return total

    predictions, jacobian = model(parameters)
    objective = objective_of(parameters, slice(None), predictions)
    damping = np.full(problems, _DAMPING_START)
    open_rows = np.arange(problems)
    for _ in range(iterations):
        here = parameters[open_rows]
        residuals = predictions - _rows(observed, open_rows)
        size = np.abs(residuals)
        inside = size <= delta
        row_weight = _rows(weight, open_rows)
        pull = row_weight * np.clip(residuals, -delta, delta)
        reweighted = row_weight * np.where(inside, 1.0, delta / np.maximum(size, delta))
        lam = damping[open_rows, None]
        curvature = row_weight * inside + lam * reweighted
        transposed = np.swapaxes(jacobian, 1, 2)
        belief = precision[open_rows]
        gradient = (transposed @ pull[:, :, None])[:, :, 0] + belief * (here - centre[open_rows])
        hessian = (transposed * curvature[:, None, :]) @ jacobian
        diagonal = np.einsum("pii->pi", hessian)
        diagonal += belief * (1 + lam)
        diagonal += 1e-9 * (1 + lam) * diagonal.max(axis=1, keepdims=True) + 1e-300
        # A parameter held by its bound leaves the step: its row and column become the identity's.
        held = ((here <= lower) & (gradient > 0)) | ((here >= upper) & (gradient < 0))
        free = ~held
        hessian *= free[:, :, None] & free[:, None, :]
        diagonal += held
        step = np.linalg.solve(hessian, -(gradient * free)[:, :, None])[:, :, 0]
        trial = np.clip(here + step, lower, upper)
        trial_predictions, trial_jacobian = model(trial)
        trial_objective = objective_of(trial, open_rows, trial_predictions)
        gain = objective[open_rows] - trial_objective
        better = gain > 0
        parameters[open_rows[better]] = trial[better]
        predictions[better], jacobian[better] = trial_predictions[better], trial_jacobian[better]
        solved = np.where(better, gain <= tolerance * trial_objective, lam[:, 0] >= _DAMPING_MOST)
        objective[open_rows[better]] = trial_objective[better]
        damping[open_rows] = np.clip(
            lam[:, 0] * np.where(better, 0.2, 4.0), _DAMPING_LEAST, _DAMPING_MOST
        )
        # One small gain under heavy damping is a short step, not an end.
        solved &= ~better | (lam[:, 0] <= 1.0)
        open_rows, predictions, jacobian = (
            open_rows[~solved],
            predictions[~solved],
            jacobian[~solved],
        )
        if not open_rows.size:
            break
    return Solution(parameters, objective)


def _rows(values: Array, rows: Rows) -> Array:
    """The chosen problems' rows, where there is one row a problem; else what all share."""
    return values[rows] if values.ndim == 2 else values

"""How sure the parameters are: refits to residuals redrawn run by run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from windtunnel.laws.fitting import HUBER_DELTA, FittedForm, prior_of, refit, residuals
from windtunnel.laws.forms.form import Belief
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array, Prior

DRAWS = 400
# Noise of a run before anything is known, and the degrees of freedom it counts for: between seeds
# it is 0.3 to 2 % (benchmarks/results/seed_noise.md). It matters only where rows are few.
_NOISE_GUESS, _GUESS_DOF = 0.005, 3.0


def draw_parameters(
    rows: Rows,
    fitted: FittedForm,
    beliefs: Sequence[Belief],
    *,
    seed: int,
    count: int = DRAWS,
    delta: float = HUBER_DELTA,
) -> Array:
    """(count, k) parameters, each refitted to metrics redrawn around the law.

    A wild cluster bootstrap (Cameron, Gelbach and Miller 2008; for median-like fits Feng, He and Hu
    2011): the residuals of each group keep their sizes and their company and change sign together,
    so outliers, unequal noise and what the rows of one run share all stay what they are. They are
    scaled up for the parameters spent, and by the square root of a chi-square, so that few groups
    widen the ranges as Student's t would. A belief's centre is redrawn from the belief, so that
    what only the belief knows counts as unknown.

    Args:
        rows: What was fitted.
        fitted: The fit.
        beliefs: Its beliefs.
        seed: Fixes every draw.
        count: Draws.
        delta: Huber's delta.
    """
    generator = np.random.default_rng(seed)
    k = fitted.parameters.size
    left_over = residuals(rows, fitted.parameters)
    around = rows.observed - left_over
    groups, index = np.unique(rows.groups, return_inverse=True)
    # Parameters are spent on groups where rows of a group say the same thing.
    effective = effective_rows(left_over, index)
    dof = max(effective - k, 1.0)
    signs = generator.choice([-1.0, 1.0], size=(count, groups.size))[:, index]
    shared = generator.standard_normal((count, len(rows)))
    guess = _NOISE_GUESS * np.sqrt(_GUESS_DOF / (dof + _GUESS_DOF))
    spent = np.sqrt(effective / dof)
    scale = np.sqrt(dof / generator.chisquare(dof, size=(count, 1)))
    redrawn = around + scale * (spent * signs * left_over + guess * shared)
    prior = None
    if beliefs:
        prior = prior_of(rows, fitted.parameters, beliefs, delta=delta)
        centres = np.broadcast_to(prior.centre, (count, k)).copy()
        names = [parameter.name for parameter in rows.form.parameters]
        for belief in beliefs:
            place = names.index(belief.parameter)
            centres[:, place] += belief.sd * generator.standard_normal(count)
        prior = Prior(centres, prior.precision)
    return refit(
        rows,
        fitted.parameters[None],
        observed=redrawn,
        weights=np.broadcast_to(rows.weights, redrawn.shape),
        delta=delta,
        prior=prior,
    )


def effective_rows(residuals: Array, index: np.ndarray) -> float:
    """Rows, each group counting less the more its residuals move as one (design effect).

    Args:
        residuals: (n,).
        index: (n,) number of each row's group, from 0.
    """
    sizes = np.bincount(index)
    pairs = float((sizes * (sizes - 1)).sum())
    if not pairs or not residuals.any():
        return float(residuals.size)
    sums, squares = np.bincount(index, residuals), np.bincount(index, residuals**2)
    shared = (sums**2 - squares).sum() / pairs / np.mean(residuals**2)
    return float((sizes / (1 + (sizes - 1) * np.clip(shared, 0.0, 1.0))).sum())

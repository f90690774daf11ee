"""The regret that is to be expected at the target, and what a run would take off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from windtunnel.search.surrogate.features import Array, Cells
from windtunnel.search.surrogate.posterior import Posterior

# A curvature below this share of the belief's is not believed: the optimum would run away.
_LEAST_CURVATURE = 0.3
FARTHEST = 3.0  # octaves from the prior's optimum that one would go at most
NORMAL_90 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Optimum:
    """The recipe to take at one cell.

    Attributes:
        recipe: (d,) log2 of the hyperparameters.
        sd: (d,) standard deviations of the true optimum around it, in octaves.
        regret: Expected rise of log loss above the true optimum's.
        by_axis: (d,) what each hyperparameter's own uncertainty adds to it, the others held.
    """

    recipe: Array
    sd: Array
    regret: float
    by_axis: Array

    @property
    def ci90(self) -> tuple[Array, Array]:
        """(d,) ends of the 90 % ranges, log2."""
        return self.recipe - NORMAL_90 * self.sd, self.recipe + NORMAL_90 * self.sd


def optimum(posterior: Posterior, cell: int) -> Optimum:
    """Where the loss is expected to be least at a cell, and how far off that may be.

    To second order: the regret of a recipe is half the squared slope there in the inverse
    curvature, and the slope is linear in the coefficients, so its expectation needs no sampling.
    """
    recipe, curvature = _place(posterior, cell)
    slopes = posterior.features.slope(recipe, cell)
    spread = slopes @ posterior.covariance @ slopes.T
    inverse = np.linalg.inv(curvature)
    places = inverse @ spread @ inverse
    return Optimum(
        recipe,
        np.sqrt(np.diag(places)),
        float(np.trace(inverse @ spread) / 2),
        np.diag(places) * np.diag(curvature) / 2,
    )


def best_recipe(posterior: Posterior, cell: int) -> Array:
    """(d,) log2 of the recipe with the least expected loss at a cell."""
    return _place(posterior, cell)[0]


def drifts(posterior: Posterior) -> tuple[Array, Array]:
    """(d, a) octaves by which the optimum leaves the prior's, an octave of each axis of scale.

    Returns:
        Expected drifts and their standard deviations, the curvature taken as it is expected.
    """
    features = posterior.features
    d = features.optima.shape[1]
    axes = features.scales.shape[1]
    curvature = _place(posterior, 0)[1]
    begin = features.size - 2 * d * axes
    own = slice(begin, begin + d * axes)
    towards = -np.kron(np.linalg.inv(curvature), np.eye(axes))
    spread = towards @ posterior.covariance[own, own] @ towards.T
    means = (towards @ posterior.mean[own]).reshape(d, axes)
    return means, np.sqrt(np.diag(spread)).reshape(d, axes)


def reductions(
    posterior: Posterior, target: int, recipes: Array, cells: Cells, covariance: Array
) -> Array:
    """(n,) how much each run would take off the expected regret at the target.

    Args:
        posterior: What is known.
        target: Index of the target's cell.
        recipes: (n, d) log2 of the runs' hyperparameters.
        cells: (n,) index of their cells.
        covariance: (size, size) of the coefficients, that of runs under way included.
    """
    recipe, curvature = _place(posterior, target)
    towards = posterior.features.slope(recipe, target) @ covariance
    rows = posterior.features.at(recipes, cells)
    variance = np.einsum("np,np->n", rows @ covariance, rows) + posterior.noise_at(rows, cells) ** 2
    shared = rows @ towards.T
    solved = np.linalg.solve(curvature, shared.T).T
    found: Array = np.einsum("nd,nd->n", shared, solved) / (2 * variance)
    return found


def _place(posterior: Posterior, cell: int) -> tuple[Array, Array]:
    """The recipe of the least expected loss, and the curvature there, never flat."""
    features = posterior.features
    start = features.optima[cell]
    steep = np.array([belief.curvature for belief in features.beliefs])
    # In units of the beliefs' own curvatures, so that none is flattened by another's steepness.
    unit = np.sqrt(steep)
    scaled = features.curvature(posterior.mean, cell) / np.outer(unit, unit)
    values, vectors = np.linalg.eigh(scaled)
    firm = (vectors * np.maximum(values, _LEAST_CURVATURE)) @ vectors.T
    curvature: Array = firm * np.outer(unit, unit)
    step = -np.linalg.solve(curvature, features.slope(start, cell) @ posterior.mean)
    return start + np.clip(step, -FARTHEST, FARTHEST), curvature

"""The surrogate's features: a bowl over recipes whose place and width drift with scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from windtunnel.search.surrogate.beliefs import CURVATURE_SD, AxisBelief

Array = NDArray[np.float64]
Cells = NDArray[np.int64]

# Coupling of two hyperparameters, as a share of the geometric mean of their curvatures: learning
# rate and batch make up for each other, most others hardly do.
_COUPLING_SD = 0.4
# Change of a curvature an octave of scale, as a share: losses become flatter as models grow.
_FLATTENING_SD = 0.1
_LEVEL_SD = 0.05  # of a cell's least log loss above the best run seen there


@dataclass(frozen=True)
class Features:
    """Log loss above a cell's best, linear in coefficients with a normal prior.

    With z the recipe less the prior's optimum at the scale, in octaves, and t the scale in octaves
    from the base:

        rise = level[cell] + b z + z A z / 2 + z B t + (c z^2) t / 2

    so that the optimum -A^-1 (b + B t) moves in proportion to log scale, as under any rule or
    power law that is a little wrong.

    Attributes:
        beliefs: One for each of d hyperparameters.
        optima: (cells, d) log2 of the prior's best recipe at each cell's scale.
        scales: (cells, a) log2 of the scale's axes.
        base: (a,) the scale where the beliefs' spread holds.
    """

    beliefs: Sequence[AxisBelief]
    optima: Array
    scales: Array
    base: Array
    _pairs: tuple[Cells, Cells] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fix the order of the products of two hyperparameters."""
        object.__setattr__(self, "_pairs", np.triu_indices(len(self.beliefs)))

    @property
    def size(self) -> int:
        """Number of coefficients."""
        cells, d = self.optima.shape
        return int(cells + d + len(self._pairs[0]) + 2 * d * self.scales.shape[1])

    def prior(self) -> tuple[Array, Array]:
        """(size,) means and standard deviations of the coefficients."""
        cells, axes = self.scales.shape
        steep = np.array([belief.curvature for belief in self.beliefs])
        spread = np.array([belief.spread for belief in self.beliefs])
        drift = np.array([belief.drifts(axes) for belief in self.beliefs])
        first, second = self._pairs
        alone = first == second
        products = np.sqrt(steep[first] * steep[second])
        blocks = (
            (np.zeros(cells), np.full(cells, _LEVEL_SD)),
            (np.zeros(steep.size), steep * spread),
            (
                np.where(alone, steep[first], 0.0),
                products * np.where(alone, CURVATURE_SD, _COUPLING_SD),
            ),
            (np.zeros(drift.size), (steep[:, None] * drift).ravel()),
            (np.zeros(drift.size), np.repeat(_FLATTENING_SD * steep, axes)),
        )
        means, sds = (np.concatenate([block[place] for block in blocks]) for place in (0, 1))
        return means, sds

    def at(self, recipes: Array, cells: Cells) -> Array:
        """(n, size) features.

        Args:
            recipes: (n, d) log2 of the hyperparameters.
            cells: (n,) index of each run's cell.
        """
        z, t = recipes - self.optima[cells], self.scales[cells] - self.base
        first, second = self._pairs
        halves = np.where(first == second, 0.5, 1.0)
        level = np.zeros((len(z), len(self.optima)))
        level[np.arange(len(z)), cells] = 1.0
        squares = 0.5 * z**2
        return np.concatenate(
            [
                level,
                z,
                halves * z[:, first] * z[:, second],
                (z[:, :, None] * t[:, None, :]).reshape(len(z), -1),
                (squares[:, :, None] * t[:, None, :]).reshape(len(z), -1),
            ],
            axis=1,
        )

    def slope(self, recipe: Array, cell: int) -> Array:
        """(d, size) derivatives of the features by the recipe.

        Args:
            recipe: (d,) log2 of the hyperparameters.
            cell: Index of the cell.
        """
        z, t = recipe - self.optima[cell], self.scales[cell] - self.base
        d = z.size
        first, second = self._pairs
        own = np.eye(d)
        halves = np.where(first == second, 0.5, 1.0)
        products = halves * (own[:, first] * z[second] + own[:, second] * z[first])
        drift = (own[:, :, None] * t).reshape(d, -1)
        flat = (own[:, :, None] * z[:, None] * t).reshape(d, -1)
        return np.concatenate([np.zeros((d, len(self.optima))), own, products, drift, flat], axis=1)

    def curvature(self, coefficients: Array, cell: int) -> Array:
        """(d, d) second derivative of the rise by the recipe, the same for every recipe."""
        cells, d = self.optima.shape
        t = self.scales[cell] - self.base
        first, second = self._pairs
        products = coefficients[cells + d : cells + d + first.size]
        matrix = np.zeros((d, d))
        matrix[first, second] = matrix[second, first] = products
        flattening = coefficients[-d * t.size :].reshape(d, t.size) @ t
        found: Array = matrix + np.diag(flattening)
        return found

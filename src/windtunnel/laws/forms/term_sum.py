"""Forms that are a sum of positive terms, each a coefficient times a power of the inputs."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from windtunnel.laws.forms.form import Form, Inputs, Parameter
from windtunnel.laws.solver import Array

# A term as a share of the metric in the middle of the data: below the floor it is gone.
FLOOR, CEILING = float(np.log(1e-4)), float(np.log(2.0))


def share(name: str) -> Parameter:
    """The log of a term in the middle of the data, as a share of the middle metric."""
    return Parameter(name, FLOOR, CEILING)


class TermSum(Form):
    """The log of a sum of terms `exp(c_i) g_i(shapes, inputs)`.

    `parameters` lists the log coefficients c_i first, one a term, and then the shapes, which set
    how the terms vary with the inputs. For fixed shapes the metric is linear in the coefficients,
    so a fit starts from linear least squares on a grid of shapes.
    """

    @abstractmethod
    def log_terms(self, shapes: Array, inputs: Inputs) -> tuple[Array, Array]:
        """Log of each term at a coefficient of 1.

        Args:
            shapes: (problems, s).
            inputs: (n,) each, scaled.

        Returns:
            (problems, n, t) logs and their (problems, n, t, s) derivatives.
        """

    @abstractmethod
    def shape_grid(self) -> Array:
        """(g, s) shapes to start from."""

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        terms = self._terms()
        logs, slopes = self.log_terms(parameters[:, terms:], inputs)
        shares = np.exp(logs + parameters[:, None, :terms])
        total = shares.sum(axis=2)
        shares /= total[:, :, None]
        by_shape = np.einsum("pnt,pnts->pns", shares, slopes)
        return np.log(total), np.concatenate([shares, by_shape], axis=2)

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: for each shape of the grid, all terms and then all but the last.

        The last term is the irreducible one by custom, and the data may not show any.
        """
        grid, terms = self.shape_grid(), self._terms()
        basis = np.exp(self.log_terms(grid, inputs)[0])
        metric = np.exp(observed)
        found = []
        for size in sorted({terms, max(terms - 1, 1)}, reverse=True):
            solved = np.zeros((len(grid), terms))
            solved[:, :size] = coefficients(basis[:, :, :size], metric, weights / metric**2)
            shares = np.clip(solved, 10 * np.exp(self.lower[:terms]), np.exp(self.upper[:terms]))
            found.append(np.concatenate([np.log(shares), grid], axis=1))
        return np.concatenate(found)

    def _terms(self) -> int:
        return len(self.parameters) - int(self.shape_grid().shape[1])


def coefficients(basis: Array, target: Array, weights: Array) -> Array:
    """Weighted linear least squares for many bases at once.

    Args:
        basis: (g, n, t).
        target: (n,).
        weights: (n,) of the squared residuals.

    Returns:
        (g, t) coefficients.
    """
    normal = np.einsum("gni,n,gnj->gij", basis, weights, basis, optimize=True)
    right = np.einsum("gni,n->gi", basis, weights * target, optimize=True)
    ridge = 1e-9 * np.einsum("gii->g", normal)[:, None, None] * np.eye(basis.shape[2])
    solved: Array = np.linalg.solve(normal + ridge, right[:, :, None])[..., 0]
    return solved

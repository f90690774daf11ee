"""Power laws of the best learning rate, batch size or weight decay in the size of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from windtunnel.errors import WindtunnelError
from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class HyperparameterLaw:
    """constant * params^x * tokens^y (or whatever the inputs are), of one hyperparameter.

    Attributes:
        inputs: Names of the inputs, in the order of the exponents.
        middles: (i,) logs of the inputs at which the law is centred.
        coefficients: (1 + i,) log of the hyperparameter at the middles, then the exponents.
        covariance: (1 + i, 1 + i) of the coefficients.
        scatter: Standard deviation, in log, of groups' true optima around the law.
        dof: Degrees of freedom behind the ranges.
        spans: Least and greatest of each input in the data.
    """

    inputs: tuple[str, ...]
    middles: Array
    coefficients: Array
    covariance: Array
    scatter: float
    dof: float
    spans: Mapping[str, tuple[float, float]]

    def __call__(self, inputs: Mapping[str, Array]) -> Array:
        """(n,) the hyperparameter at inputs as given."""
        return np.asarray(np.exp(self._design(inputs) @ self.coefficients))

    def ci90(self, inputs: Mapping[str, Array], *, prediction: bool = False) -> tuple[Array, Array]:
        """(n,) ends of the 90 % range of the law, or of a new group's own optimum.

        Args:
            inputs: (n,) as given.
            prediction: Add the scatter of groups around the law.
        """
        design = self._design(inputs)
        variance = np.einsum("ni,ij,nj->n", design, self.covariance, design)
        half = self._quantile() * np.sqrt(variance + prediction * self.scatter**2)
        middle = design @ self.coefficients
        return np.exp(middle - half), np.exp(middle + half)

    def exponents(self) -> dict[str, tuple[float, float, float]]:
        """Each input's exponent with the ends of its 90 % range."""
        half = self._quantile() * np.sqrt(np.diag(self.covariance))
        return {
            name: (float(value), float(value - wide), float(value + wide))
            for name, value, wide in zip(self.inputs, self.coefficients[1:], half[1:], strict=True)
        }

    def constant(self) -> float:
        """The factor before the powers, in the units of the data. Far from them it says little."""
        return float(np.exp(self.coefficients[0] - self.middles @ self.coefficients[1:]))

    def _design(self, inputs: Mapping[str, Array]) -> Array:
        return design_of(self.inputs, self.middles, inputs)

    def _quantile(self) -> float:
        return float(stats.t.ppf(0.95, self.dof))


def design_of(names: tuple[str, ...], middles: Array, inputs: Mapping[str, Array]) -> Array:
    """(n, 1 + i) ones and centred logs of the inputs."""
    logs = [np.log(np.asarray(inputs[name], dtype=float)) for name in names]
    return np.column_stack([np.ones(logs[0].size), *(logs - middles[:, None])])


def fit_optima_law(
    inputs: Mapping[str, Array], optima: Array, se: Array | None = None
) -> HyperparameterLaw:
    """Least squares in logs, each optimum weighted by its own uncertainty and the groups' scatter.

    A random-effects regression: weights are 1 / (se^2 + scatter^2), the scatter by the method of
    moments (DerSimonian and Laird 1986, for a regression). An infinite `se` (an optimum at the
    edge of what was tried) leaves that optimum out.

    Args:
        inputs: (g,) each, positive: one row a group.
        optima: (g,) best values of the hyperparameter.
        se: (g,) standard errors of log optimum; equal and unknown by default.

    Raises:
        WindtunnelError: Values that are not positive, or fewer groups than one more than the
            law's coefficients.
    """
    names = tuple(inputs)
    error = np.zeros(optima.size) if se is None else se
    for name, values in (*inputs.items(), ("optimum", optima)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise WindtunnelError(f"hyperparameter law: a value of {name} is not a positive number")
    known = np.isfinite(error)
    if known.sum() < len(names) + 2:
        raise WindtunnelError(
            f"hyperparameter law: {known.sum()} optima are known and {len(names) + 2} needed for "
            f"powers of {' and '.join(names)}; tune more sizes, or widen searches that ended at "
            "their edge"
        )
    kept = {name: np.asarray(values, dtype=float)[known] for name, values in inputs.items()}
    middles = np.array([np.log(values).mean() for values in kept.values()])
    design = design_of(names, middles, kept)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise WindtunnelError(
            f"hyperparameter law: {' and '.join(names)} vary together or not at all in these "
            "optima; add groups where they don't, or fit a law in one of them"
        )
    target, variance = np.log(optima[known]), error[known] ** 2
    scatter = _scatter(design, target, variance)
    coefficients, covariance = _weighted(design, target, 1 / (variance + scatter))
    return HyperparameterLaw(
        names,
        middles,
        coefficients,
        covariance,
        float(np.sqrt(scatter)),
        float(design.shape[0] - design.shape[1]),
        {name: (float(values.min()), float(values.max())) for name, values in kept.items()},
    )


def _weighted(design: Array, target: Array, weights: Array) -> tuple[Array, Array]:
    covariance: Array = np.asarray(
        np.linalg.inv(design.T @ (weights[:, None] * design)), dtype=float
    )
    return covariance @ (design.T @ (weights * target)), covariance


def _scatter(design: Array, target: Array, variance: Array) -> float:
    """Variance between groups that their own errors do not explain."""
    weights = 1 / np.maximum(variance, 1e-6)
    coefficients, covariance = _weighted(design, target, weights)
    excess = weights @ (target - design @ coefficients) ** 2 - (design.shape[0] - design.shape[1])
    weighted = weights[:, None] * design
    spread = weights.sum() - np.trace(covariance @ (weighted.T @ weighted))
    # Never quite none: equal optima are luck, not knowledge.
    return float(max(excess / spread, 1e-4))

"""The Chinchilla form L(N, D) = E + A / N^alpha + B / D^beta, and its robust fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.points import LawData
from windtunnel.laws.solver import Array, Model, Prior, huber, minimize_huber

HUBER_DELTA = 1e-3  # Hoffmann et al. 2022, appendix D.3
EXPONENTS = (0.05, 2.0)  # bounds on alpha and beta
# The solver's parameters are logarithms of the three terms at the middle of the data, as shares
# of the middle loss: (a, b, e, log alpha, log beta). Below the floor a term is gone.
_FLOOR, _CEILING = np.log(1e-4), np.log(2.0)
_LOWER = np.array([_FLOOR, _FLOOR, _FLOOR, np.log(EXPONENTS[0]), np.log(EXPONENTS[0])])
_UPPER = np.array([_CEILING, _CEILING, _CEILING, np.log(EXPONENTS[1]), np.log(EXPONENTS[1])])
_GRID = np.exp(np.linspace(np.log(0.07), np.log(1.6), 12))  # exponents at which fits start


@dataclass(frozen=True, slots=True)
class ExponentPrior:
    """A weak belief about alpha and beta, log-normal and the same for both.

    Attributes:
        centre: Its median. Published fits on text: Chinchilla .339 and .285, corrected .348 and
            .366 (Besiroglu et al. 2024), Muennighoff et al. 2023 .353 (tied), MiniCPM .29 and .23.
        log_sd: Its standard deviation in natural log.
    """

    centre: float = 0.35
    log_sd: float = 0.4


@dataclass(frozen=True, slots=True)
class Design:
    """Where the law was measured, scaled so that units and sizes drop out of the arithmetic."""

    log_params: Array
    log_units: Array
    middle: tuple[float, float, float]

    @staticmethod
    def of(data: LawData) -> Design:
        """The design of measured points."""
        logs = np.log(data.params), np.log(data.units), np.log(data.loss)
        middle = tuple(float((x.max() + x.min()) / 2) for x in logs)
        return Design(logs[0] - middle[0], logs[1] - middle[1], middle)  # type: ignore[arg-type]

    def model(self) -> Model:
        """Log loss (minus its middle) and Jacobian at these points."""
        return lambda parameters: log_loss(parameters, self.log_params, self.log_units)

    def at(self, params: float, units: float) -> tuple[Array, Array]:
        """The same coordinates for a point of interest."""
        return (
            np.array([np.log(params) - self.middle[0]]),
            np.array([np.log(units) - self.middle[1]]),
        )


def log_loss(parameters: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Log of the three terms' sum, for a batch of parameters.

    Args:
        parameters: (problems, 5): a, b, e, log alpha, log beta.
        x: (n,) log parameters, from the middle.
        y: (n,) log units, from the middle.

    Returns:
        (problems, n) log losses and their (problems, n, 5) Jacobian.
    """
    a, b, e, log_alpha, log_beta = (column[:, None] for column in parameters.T)
    alpha_x, beta_y = np.exp(log_alpha) * x, np.exp(log_beta) * y
    terms = np.empty((*alpha_x.shape, 5))
    terms[:, :, 0] = np.exp(a - alpha_x)
    terms[:, :, 1] = np.exp(b - beta_y)
    terms[:, :, 2] = np.exp(e)
    total = terms[:, :, 0] + terms[:, :, 1] + terms[:, :, 2]
    terms[:, :, :3] /= total[:, :, None]
    terms[:, :, 3] = -alpha_x * terms[:, :, 0]
    terms[:, :, 4] = -beta_y * terms[:, :, 1]
    return np.log(total), terms


@dataclass(frozen=True, slots=True)
class ChinchillaFit:
    """A fitted law.

    Attributes:
        irreducible: E, in the loss's unit.
        params_coefficient: A.
        units_coefficient: B.
        params_exponent: alpha.
        units_exponent: beta.
        objective: Sum of Huber losses of the log residuals (without any prior's share).
        points: Number of points.
        at_bounds: Names of parameters that ended on a bound: there the data do not fix them.
    """

    irreducible: float
    params_coefficient: float
    units_coefficient: float
    params_exponent: float
    units_exponent: float
    objective: float
    points: int
    at_bounds: tuple[str, ...]

    def __call__(self, params: float, units: float) -> float:
        """Loss at a model size and a training length."""
        return float(
            self.irreducible
            + self.params_coefficient / params**self.params_exponent
            + self.units_coefficient / units**self.units_exponent
        )

    def to_json(self) -> dict[str, Any]:
        """The law as plain JSON values, under the names of the literature."""
        return {
            "form": "E + A / N^alpha + B / D^beta",
            "E": self.irreducible,
            "A": self.params_coefficient,
            "B": self.units_coefficient,
            "alpha": self.params_exponent,
            "beta": self.units_exponent,
            "objective": self.objective,
            "points": self.points,
            "at_bounds": list(self.at_bounds),
        }


def fit_chinchilla(
    data: LawData, *, delta: float = HUBER_DELTA, prior: ExponentPrior | None = None
) -> ChinchillaFit:
    """Fit the law to log losses from many starts; the best one is kept. Deterministic.

    Starts are a 12 x 12 grid of exponents; at each, the other three parameters come from linear
    least squares of relative residuals, and the 24 best are polished together.

    Args:
        data: Points with at least two sizes and two lengths.
        delta: Huber's delta on log residuals.
        prior: Belief about the exponents; none by default.

    Raises:
        WindtunnelError: The points cannot tell the terms apart at all.
    """
    _identifiable(data)
    design = Design.of(data)
    observed = np.log(data.loss) - design.middle[2]
    parameters = refit(
        design, observed[None], delta=delta, weights=data.weight[None], prior=prior, starts=24
    )[0]
    return describe(parameters, design, observed, delta)


def refit(
    design: Design,
    observed: Array,
    *,
    delta: float = HUBER_DELTA,
    weights: Array | None = None,
    prior: ExponentPrior | None = None,
    prior_centres: Array | None = None,
    noise: float | None = None,
    starts: int = 3,
) -> Array:
    """Best parameters for many sets of losses on one design, all in one solver call.

    Args:
        design: Where the losses were measured.
        observed: (sets, n) log losses minus the design's middle.
        delta: Huber's delta.
        weights: (sets, n) weights of the points: 0 leaves one out, 2 counts it twice.
        prior: Belief about the exponents.
        prior_centres: (sets, 2) centres in place of the prior's own, one a set.
        noise: Standard deviation of a log residual, which weighs data against prior; by default
            half of one percent.
        starts: Starts to polish for each set.

    Returns:
        (sets, 5) parameters.
    """
    sets = observed.shape[0]
    begin = _starts(design, observed, weights, delta, starts)
    penalty = None
    if prior is not None:
        centre = np.zeros((sets, 5))
        centre[:, 3:] = np.log(prior.centre) if prior_centres is None else prior_centres
        centre = np.repeat(centre, starts, axis=0)
        # For residuals beyond delta Huber's loss is delta |r|, whose scale is delta, not sigma.
        sigma = 0.005 if noise is None else noise
        precision = sigma * min(sigma, delta) / prior.log_sd**2
        penalty = Prior(centre, np.array([0.0, 0.0, 0.0, precision, precision]))
    solution = minimize_huber(
        design.model(),
        begin.reshape(sets * starts, 5),
        np.repeat(observed, starts, axis=0),
        delta=delta,
        lower=_LOWER,
        upper=_UPPER,
        weights=None if weights is None else np.repeat(weights, starts, axis=0),
        prior=penalty,
    )
    best = solution.objective.reshape(sets, starts).argmin(axis=1)
    kept: Array = solution.parameters.reshape(sets, starts, 5)[np.arange(sets), best]
    return kept


def _starts(
    design: Design, observed: Array, weights: Array | None, delta: float, starts: int
) -> Array:
    """`_grid_starts` for a few sets at a time, so that memory stays below about 100 MB."""
    step = max(1, 2_000_000 // (2 * _GRID.size**2 * design.log_params.size))
    return np.concatenate(
        [
            _grid_starts(
                design,
                observed[i : i + step],
                None if weights is None else weights[i : i + step],
                delta,
                starts,
            )
            for i in range(0, len(observed), step)
        ]
    )


def _grid_starts(
    design: Design, observed: Array, weights: Array | None, delta: float, starts: int
) -> Array:
    """(sets, starts, 5): linear least squares at each pair of exponents, best pairs first."""
    alpha, beta = (grid.ravel() for grid in np.meshgrid(_GRID, _GRID))
    n = design.log_params.size
    basis = np.ones((alpha.size, n, 3))
    basis[:, :, 0] = np.exp(-alpha[:, None] * design.log_params)
    basis[:, :, 1] = np.exp(-beta[:, None] * design.log_units)
    loss = np.exp(observed)
    weight = (np.ones_like(loss) if weights is None else weights) / loss**2
    normal = np.einsum("gni,sn,gnj->sgij", basis, weight, basis, optimize=True)
    right = np.einsum("gni,sn->sgi", basis, weight * loss, optimize=True)
    both = np.stack([_solve(normal, right, drop_constant=drop) for drop in (False, True)], axis=2)
    shares = np.clip(both, np.exp(_FLOOR) * 10, np.exp(_CEILING)).reshape(len(loss), -1, 3)
    exponents = np.log(np.stack([alpha, beta], axis=1)).repeat(2, axis=0)
    candidates = np.concatenate(
        [np.log(shares), np.broadcast_to(exponents, (*shares.shape[:2], 2))], axis=2
    )
    predicted = np.log(np.einsum("sgi,gni->sgn", shares, basis.repeat(2, axis=0), optimize=True))
    residuals = huber(predicted - observed[:, None, :], delta)
    scores = (residuals * (1 if weights is None else weights[:, None, :])).sum(axis=2)
    order = np.argsort(scores, axis=1, kind="stable")[:, :starts]
    return np.take_along_axis(candidates, order[:, :, None], axis=1)


def _solve(normal: Array, right: Array, *, drop_constant: bool) -> Array:
    """Least squares for the three terms, or for A and B alone (E gone)."""
    size = 2 if drop_constant else 3
    matrix = normal[..., :size, :size]
    trace = np.einsum("...ii->...", matrix)
    ridge = 1e-9 * trace[..., None, None] * np.eye(size)
    found = np.linalg.solve(matrix + ridge, right[..., :size, None])[..., 0]
    padded = np.zeros(right.shape)
    padded[..., :size] = found
    return padded


def _identifiable(data: LawData) -> None:
    for name, values in (("model sizes", data.params), ("training lengths", data.units)):
        if np.unique(values).size < 2:
            raise WindtunnelError(
                f"law: all points share one value of {name}; train at another one as well"
            )


def describe(
    parameters: Array, design: Design, observed: Array, delta: float = HUBER_DELTA
) -> ChinchillaFit:
    """The law behind the solver's (5,) parameters."""
    a, b, e, log_alpha, log_beta = (float(value) for value in parameters)
    alpha, beta = float(np.exp(log_alpha)), float(np.exp(log_beta))
    log_n, log_d, log_l = design.middle
    names = ("A", "B", "E", "alpha", "beta")
    at_bounds = tuple(
        name
        for name, value, low, high in zip(names, parameters, _LOWER, _UPPER, strict=True)
        if value <= low + 1e-6 or value >= high - 1e-6
    )
    predicted, _ = design.model()(parameters[None])
    return ChinchillaFit(
        irreducible=float(np.exp(e + log_l)),
        params_coefficient=float(np.exp(a + alpha * log_n + log_l)),
        units_coefficient=float(np.exp(b + beta * log_d + log_l)),
        params_exponent=alpha,
        units_exponent=beta,
        objective=float(huber(predicted[0] - observed, delta).sum()),
        points=observed.size,
        at_bounds=at_bounds,
    )

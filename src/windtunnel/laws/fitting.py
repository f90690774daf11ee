"""Fit a form to rows: every start and every resample in one vectorised solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.laws.forms.form import Belief, Form, Inputs, Scaling
from windtunnel.laws.solver import Array, Prior, huber, minimize_huber

HUBER_DELTA = 1e-3  # Hoffmann et al. 2022, appendix D.3
NEAR_BEST = 0.01  # a start ends near the best if its objective is within this share
POLISHED = 32  # starts that are followed to their end, the best on the grid
_LEAST_SCALE = 3e-4  # of residuals, when they weigh data against a belief


@dataclass(frozen=True, slots=True)
class Rows:
    """What a form is fitted to, scaled.

    Attributes:
        form: The form.
        scaling: What was taken off.
        inputs: (n,) each.
        observed: (n,) in the form's space.
        weights: (n,), mean 1.
        groups: (n,) number of each row's group: rows of one run stay together.
    """

    form: Form
    scaling: Scaling
    inputs: Inputs
    observed: Array
    weights: Array
    groups: np.ndarray

    @staticmethod
    def of(
        form: Form,
        inputs: Mapping[str, Array],
        metric: Array,
        weights: Array | None = None,
        groups: np.ndarray | None = None,
    ) -> Rows:
        """Scale rows as they are given.

        Args:
            form: The form.
            inputs: (n,) positive, for each of the form's inputs; others are left aside.
            metric: (n,).
            weights: (n,) relative weights; 1 by default.
            groups: (n,) numbers; every row for itself by default.
        """
        scaling = Scaling.of(form, inputs, metric)
        weight = np.ones(metric.size) if weights is None else weights / weights.mean()
        return Rows(
            form,
            scaling,
            scaling.scale({name: inputs[name] for name in form.inputs}),
            to_space(form, metric, scaling),
            weight,
            np.arange(metric.size) if groups is None else groups,
        )

    def __len__(self) -> int:
        """Number of rows."""
        return self.observed.size

    def keep(self, mask: np.ndarray) -> Rows:
        """The rows where `mask` is true, with the same scaling."""
        return Rows(
            self.form,
            self.scaling,
            {name: values[mask] for name, values in self.inputs.items()},
            self.observed[mask],
            self.weights[mask] / self.weights[mask].mean(),
            self.groups[mask],
        )


@dataclass(frozen=True, slots=True)
class FittedForm:
    """A form with its parameters.

    Attributes:
        form: The form.
        scaling: That of the rows it was fitted to.
        parameters: (k,) of the solver.
        objective: Sum of Huber losses of the residuals, without any belief's share.
        near_best: Share of the polished starts that ended within 1 % of the best objective.
    """

    form: Form
    scaling: Scaling
    parameters: Array
    objective: float
    near_best: float

    def __call__(self, inputs: Mapping[str, Array]) -> Array:
        """(n,) the metric at inputs as given."""
        return predict(self.form, self.scaling, self.parameters[None], inputs)[0]

    def published(self) -> dict[str, float]:
        """The paper's parameters."""
        return self.form.published(self.parameters, self.scaling)

    def at_bounds(self) -> tuple[str, ...]:
        """Coordinates that ended on a bound: there the data do not fix them."""
        near = (self.parameters <= self.form.lower + 1e-6) | (
            self.parameters >= self.form.upper - 1e-6
        )
        return tuple(
            parameter.name for parameter, at in zip(self.form.parameters, near, strict=True) if at
        )


def to_space(form: Form, metric: Array, scaling: Scaling) -> Array:
    """The metric in the form's space, scaled."""
    if form.space == "log":
        return np.log(metric) - scaling.metric
    return metric / np.exp(scaling.metric)


def from_space(form: Form, values: Array, scaling: Scaling) -> Array:
    """Back to the metric's own unit."""
    unit = np.exp(scaling.metric)
    return np.exp(values) * unit if form.space == "log" else values * unit


def predict(
    form: Form, scaling: Scaling, parameters: Array, inputs: Mapping[str, Array]
) -> Array:
    """(problems, n) the metric, for (problems, k) parameters, at inputs as given."""
    return from_space(form, form.predict(parameters, scaling.scale(inputs))[0], scaling)


def fit_form(
    rows: Rows,
    *,
    delta: float = HUBER_DELTA,
    beliefs: Sequence[Belief] = (),
    polished: int = POLISHED,
) -> FittedForm:
    """The best fit of a form: all its starts screened, the best polished.

    Args:
        rows: What it is fitted to.
        delta: Huber's delta, in the form's space.
        beliefs: Priors on some coordinates. They weigh against residuals of the size that a fit
            without them leaves, so large or quiet data soon outweigh them.
        polished: How many starts to follow to their end.
    """
    form = rows.form
    starts = np.clip(
        form.starts(rows.inputs, rows.observed, rows.weights), form.lower, form.upper
    )
    screened = _objective(rows, starts, delta)
    best = starts[np.argsort(screened, kind="stable")[:polished]]
    solved = _solve(rows, best, rows.observed[None], rows.weights[None], delta, None)
    if beliefs:
        free = solved.parameters[solved.objective.argmin()]
        prior = _prior(rows, free, delta, beliefs)
        begin = np.concatenate([solved.parameters, best])
        solved = _solve(rows, begin, rows.observed[None], rows.weights[None], delta, prior)
    chosen = int(solved.objective.argmin())
    parameters = solved.parameters[chosen]
    near = solved.objective <= (1 + NEAR_BEST) * solved.objective[chosen]
    return FittedForm(
        form,
        rows.scaling,
        parameters,
        float(_objective(rows, parameters[None], delta)[0]),
        float(near.mean()),
    )


def refit(
    rows: Rows,
    starts: Array,
    *,
    observed: Array | None = None,
    weights: Array | None = None,
    delta: float = HUBER_DELTA,
    prior: Prior | None = None,
) -> Array:
    """Best parameters for many resamples of one set of rows.

    Args:
        rows: The rows.
        starts: (starts, k) where each resample begins; the best end is kept.
        observed: (sets, n) redrawn metrics in the form's space; the rows' own by default.
        weights: (sets, n) redrawn weights: 0 leaves a row out, 2 counts it twice.
        delta: Huber's delta.
        prior: Penalty, its centre (k,) or (sets, k).

    Returns:
        (sets, k) parameters.
    """
    sets = len(weights) if observed is None else len(observed)  # type: ignore[arg-type]
    count = len(starts)
    own = np.broadcast_to(rows.observed, (sets, len(rows))) if observed is None else observed
    weight = np.broadcast_to(rows.weights, own.shape) if weights is None else weights
    repeated = None
    if prior is not None:
        centre = np.broadcast_to(prior.centre, (sets, starts.shape[1]))
        repeated = Prior(np.repeat(centre, count, axis=0), prior.precision)
    solved = _solve(
        rows,
        np.tile(starts, (sets, 1)),
        np.repeat(own, count, axis=0),
        np.repeat(weight, count, axis=0),
        delta,
        repeated,
    )
    best = solved.objective.reshape(sets, count).argmin(axis=1)
    kept: Array = solved.parameters.reshape(sets, count, -1)[np.arange(sets), best]
    return kept


def residuals(rows: Rows, parameters: Array) -> Array:
    """(n,) observed less predicted, in the form's space."""
    return rows.observed - rows.form.predict(parameters[None], rows.inputs)[0][0]


def residual_scale(rows: Rows, parameters: Array) -> float:
    """Mean absolute residual, for the parameters that were spent on the rows."""
    spent = len(rows) / max(len(rows) - parameters.size + 1, 1)
    sizes = rows.weights * np.abs(residuals(rows, parameters))
    return max(float(sizes.mean()) * spent, _LEAST_SCALE)


def _prior(rows: Rows, free: Array, delta: float, beliefs: Sequence[Belief]) -> Prior:
    """Beliefs in the objective's own units.

    Beyond delta Huber's loss is delta |r|: the log likelihood of a Laplace distribution of scale b
    times delta b. Within delta it is that of a normal distribution times its variance.
    """
    scale = residual_scale(rows, free)
    names = [parameter.name for parameter in rows.form.parameters]
    centre, precision = np.zeros(len(names)), np.zeros(len(names))
    for belief in beliefs:
        place = names.index(belief.parameter)
        centre[place] = belief.centre
        precision[place] = scale * min(scale, delta) / belief.sd**2
    return Prior(centre, precision)


def _objective(rows: Rows, parameters: Array, delta: float) -> Array:
    predicted, _ = rows.form.predict(parameters, rows.inputs)
    total: Array = (rows.weights * huber(predicted - rows.observed, delta)).sum(axis=1)
    return total


def _solve(
    rows: Rows,
    starts: Array,
    observed: Array,
    weights: Array,
    delta: float,
    prior: Prior | None,
):  # type: ignore[no-untyped-def]
    form = rows.form
    return minimize_huber(
        lambda parameters: form.predict(parameters, rows.inputs),
        starts,
        observed[0] if len(observed) == 1 else observed,
        delta=delta,
        lower=form.lower,
        upper=form.upper,
        weights=weights[0] if len(weights) == 1 else weights,
        prior=prior,
    )

"""Fit a form to rows: every start and every resample in one vectorised solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from windtunnel.laws.forms.form import Belief, Form, Scaling
from windtunnel.laws.rows import Rows, from_space
from windtunnel.laws.solver import Array, Prior, Solution, huber, minimize_huber

HUBER_DELTA = 1e-3  # Hoffmann et al. 2022, appendix D.3
NEAR_BEST = 0.01  # a start ends near the best if its objective is within this share
POLISHED = 32  # starts that are followed to their end, the best on the grid
_LEAST_SCALE = 3e-4  # of residuals, when they weigh data against a belief


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
        metric: Array = predict(self.form, self.scaling, self.parameters[None], inputs)[0]
        return metric

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


def predict(form: Form, scaling: Scaling, parameters: Array, inputs: Mapping[str, Array]) -> Array:
    """(problems, n) the metric, for (problems, k) parameters, at inputs as given."""
    return from_space(form, form.predict(parameters, scaling.scale(inputs))[0], scaling)


def fit_form(
    rows: Rows,
    *,
    delta: float = HUBER_DELTA,
    beliefs: Sequence[Belief] = (),
    polished: int = POLISHED,
    starts: Array | None = None,
) -> FittedForm:
    """The best fit of a form: all its starts screened, the best polished.

    Args:
        rows: What it is fitted to.
        delta: Huber's delta, in the form's space.
        beliefs: Priors on some coordinates. They weigh against residuals of the size that a fit
            without them leaves, so large or quiet data soon outweigh them.
        polished: How many starts to follow to their end.
        starts: (starts, k) in place of the form's own.
    """
    weights = rows.weights[None]
    ends = (
        _without_beliefs(rows, weights, delta, polished)
        if starts is None
        else _solve(rows, starts, None, weights, delta, None)
    )
    if beliefs:
        prior = prior_of(rows, ends.parameters[ends.objective.argmin()], beliefs, delta=delta)
        ends = _solve(rows, ends.parameters, None, weights, delta, prior)
    chosen = int(ends.objective.argmin())
    near = ends.objective <= (1 + NEAR_BEST) * ends.objective[chosen]
    parameters = ends.parameters[chosen]
    return FittedForm(
        rows.form,
        rows.scaling,
        parameters,
        float(_objective(rows, parameters[None], rows.weights, delta)[0]),
        float(near.mean()),
    )


def refine(
    rows: Rows, first: FittedForm, beliefs: Sequence[Belief], *, delta: float = HUBER_DELTA
) -> FittedForm:
    """The fit to very many rows, begun where the fit to a sample of them ended.

    Args:
        rows: All rows, scaled as the sample was.
        first: The fit to the sample.
        beliefs: As in `fit_form`.
        delta: Likewise.
    """
    prior = prior_of(rows, first.parameters, beliefs, delta=delta) if beliefs else None
    weights = rows.weights[None]
    parameters = refit(rows, first.parameters[None], weights=weights, delta=delta, prior=prior)
    objective = float(_objective(rows, parameters, rows.weights, delta)[0])
    return replace(first, parameters=parameters[0], objective=objective)


def fit_subsets(
    rows: Rows,
    weights: Array,
    priors: Mapping[str, Sequence[Belief]],
    *,
    delta: float = HUBER_DELTA,
    polished: int = 4,
) -> dict[str, Array]:
    """The best fits to many subsets of the rows, under each of several sets of beliefs.

    Args:
        rows: All rows.
        weights: (sets, n) 0 for a row that is left out.
        priors: Beliefs by name; an empty one is a fit without.
        delta: Huber's delta.
        polished: Starts to follow for each subset.

    Returns:
        (sets, k) parameters under each name.
    """
    sets, k = len(weights), len(rows.form.parameters)
    ends = _without_beliefs(rows, weights, delta, polished)
    parameters = ends.parameters.reshape(sets, polished, k)
    free = parameters[np.arange(sets), ends.objective.reshape(sets, polished).argmin(axis=1)]
    found = {}
    for name, beliefs in priors.items():
        if not beliefs:
            found[name] = free
            continue
        by_set = [
            prior_of(rows, own, beliefs, weights=weight, delta=delta)
            for own, weight in zip(free, weights, strict=True)
        ]
        prior = Prior(
            np.stack([one.centre for one in by_set]), np.stack([one.precision for one in by_set])
        )
        found[name] = refit(rows, parameters, weights=weights, delta=delta, prior=prior)
    return found


def refit(
    rows: Rows,
    starts: Array,
    *,
    observed: Array | None = None,
    weights: Array,
    delta: float = HUBER_DELTA,
    prior: Prior | None = None,
) -> Array:
    """Best parameters for many resamples of one set of rows.

    Args:
        rows: The rows.
        starts: (starts, k) where each resample begins, or (sets, starts, k); the best end counts.
        observed: (sets, n) redrawn metrics in the form's space; the rows' own by default.
        weights: (sets, n) weights: 0 leaves a row out, 2 counts it twice.
        delta: Huber's delta.
        prior: Penalty, its parts (k,) or (sets, k).

    Returns:
        (sets, k) parameters.
    """
    sets, k = len(weights), starts.shape[-1]
    begin = np.broadcast_to(starts, (sets, *starts.shape[-2:]))
    count = begin.shape[1]

    def repeated(values: Array) -> Array:
        return np.repeat(np.broadcast_to(values, (sets, values.shape[-1])), count, axis=0)

    solved = _solve(
        rows,
        begin.reshape(sets * count, k),
        None if observed is None else repeated(observed),
        repeated(weights),
        delta,
        None if prior is None else Prior(repeated(prior.centre), repeated(prior.precision)),
    )
    best = solved.objective.reshape(sets, count).argmin(axis=1)
    kept: Array = solved.parameters.reshape(sets, count, k)[np.arange(sets), best]
    return kept


def prior_of(
    rows: Rows,
    free: Array,
    beliefs: Sequence[Belief],
    *,
    weights: Array | None = None,
    delta: float = HUBER_DELTA,
) -> Prior:
    """Beliefs in the objective's own units.

    Beyond delta Huber's loss is delta |r|: the log likelihood of a Laplace distribution of scale b
    times delta b. Within delta it is that of a normal distribution times its variance.

    Args:
        rows: The rows.
        free: (k,) parameters fitted without beliefs.
        beliefs: Centres and widths.
        weights: (n,) of the rows.
        delta: Huber's delta.
    """
    scale = max(residual_scale(rows, free, weights), _LEAST_SCALE)
    names = [parameter.name for parameter in rows.form.parameters]
    centre, precision = np.zeros(len(names)), np.zeros(len(names))
    for belief in beliefs:
        place = names.index(belief.parameter)
        centre[place] = belief.centre
        precision[place] = scale * min(scale, delta) / belief.sd**2
    return Prior(centre, precision)


def residuals(rows: Rows, parameters: Array) -> Array:
    """(n,) observed less predicted, in the form's space."""
    left: Array = rows.observed - rows.form.predict(parameters[None], rows.inputs)[0][0]
    return left


def residual_scale(rows: Rows, parameters: Array, weights: Array | None = None) -> float:
    """Mean absolute residual, with its due for the parameters that were spent on the rows."""
    weight = rows.weights if weights is None else weights
    used = int((weight > 0).sum())
    spent = used / max(used - parameters.size, 1)
    return float(weight @ np.abs(residuals(rows, parameters)) / weight.sum()) * spent


def _without_beliefs(rows: Rows, weights: Array, delta: float, polished: int) -> Solution:
    """(sets x polished) ends of the best starts for each set of weights."""
    form = rows.form
    begin = []
    for weight in weights:
        starts = np.clip(form.starts(rows.inputs, rows.observed, weight), form.lower, form.upper)
        order = np.argsort(_objective(rows, starts, weight, delta), kind="stable")
        begin.append(np.resize(starts[order[:polished]], (polished, starts.shape[1])))
    return _solve(
        rows, np.concatenate(begin), None, np.repeat(weights, polished, axis=0), delta, None
    )


def _objective(rows: Rows, parameters: Array, weights: Array, delta: float) -> Array:
    predicted, _ = rows.form.predict(parameters, rows.inputs)
    total: Array = huber(predicted - rows.observed, delta) @ weights
    return total


def _solve(
    rows: Rows,
    starts: Array,
    observed: Array | None,
    weights: Array,
    delta: float,
    prior: Prior | None,
) -> Solution:
    form = rows.form
    return minimize_huber(
        lambda parameters: form.predict(parameters, rows.inputs),
        starts,
        rows.observed if observed is None else observed,
        delta=delta,
        lower=form.lower,
        upper=form.upper,
        weights=np.broadcast_to(weights, (len(starts), len(rows))),
        prior=prior,
    )

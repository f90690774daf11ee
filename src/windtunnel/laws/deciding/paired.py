"""How far off the difference of two laws is, where both methods were run at the same scales."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.laws.candidates import NO_PRIOR
from windtunnel.laws.fitting import fit_subsets, residuals
from windtunnel.laws.folds import Fold, rolling_origins
from windtunnel.laws.law import Law, Spread
from windtunnel.laws.rolling import Foretold
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import spread_of

_LEAST_FITTED = 8
_LEAST_VALUES = 3
# Of a difference, a nat: a quarter of one law's own, and less sure. No table with two methods was
# at hand to set it on.
_DRIFT_BELIEF = 0.0015, 0.7


def paired_spread(first: Law, second: Law) -> Spread | None:
    """The spread of the difference of two laws' predictions, in the form's space.

    A form that is wrong goes astray alike for two methods of one form, and their difference
    hardly. So the same back-tests are made for both, at the scales they share, and what counts is
    by how much the difference of the two forecasts missed the difference measured.

    Args:
        first: Law of the one.
        second: Law of the other, of the same form.

    Returns:
        None where they share too few scales for a back-test.
    """
    form = first.fitted.form
    inputs, places = _shared(first, second)
    if places.shape[1] < _LEAST_FITTED + 1:
        return None
    folds = rolling_origins(
        inputs,
        np.arange(places.shape[1]),
        least_rows=max(_LEAST_FITTED, len(form.parameters) + 2),
        least_values={name: _LEAST_VALUES for name in inputs if np.ptp(inputs[name]) > 0},
    )
    if not folds:
        return None
    weights = np.array([fold.fitted for fold in folds], dtype=float)
    both = [
        _errors(law, own, inputs, weights) for law, own in zip((first, second), places, strict=True)
    ]
    foretold = [
        _foretold(fold, both[0][0][place] - both[1][0][place]) for place, fold in enumerate(folds)
    ]
    count = places.shape[1]
    return spread_of(
        foretold,
        both[0][1] - both[1][1],
        len(form.parameters),
        np.arange(count),
        drift_belief=_DRIFT_BELIEF,
    )


def _shared(first: Law, second: Law) -> tuple[dict[str, Array], np.ndarray]:
    """(n,) inputs of the scales that both have, and (2, n) indices of their rows."""
    names = first.fitted.form.inputs
    keys = [
        list(zip(*(law.inputs[name] for name in names), strict=True)) for law in (first, second)
    ]
    where = {key: place for place, key in enumerate(keys[1])}
    pairs = {key: (place, where[key]) for place, key in enumerate(keys[0]) if key in where}
    places = np.array(list(pairs.values()), dtype=int).reshape(-1, 2).T
    return {name: first.inputs[name][places[0]] for name in names}, places


def _errors(
    law: Law, own: np.ndarray, inputs: Mapping[str, Array], folds: Array
) -> tuple[Array, Array]:
    """(folds, n) foretold less measured, and (n,) the law's own residuals."""
    form = law.fitted.form
    weights = None if law.weight is None else law.weight[own]
    rows = Rows.of(form, inputs, law.observed[own], weights)
    prior = str(law.summary.get("prior", NO_PRIOR))
    beliefs = {prior: form.priors.get(prior, ())}
    fits = fit_subsets(rows, folds * rows.weights, beliefs, delta=law.delta)[prior]
    unit = np.exp(rows.scaling.metric) if form.space == "linear" else 1.0
    whole = fit_subsets(rows, rows.weights[None], beliefs, delta=law.delta)[prior]
    foretold = np.array([-residuals(rows, parameters) for parameters in fits])
    return unit * foretold, unit * residuals(rows, whole[0])


def _foretold(fold: Fold, errors: Array) -> Foretold:
    at = np.flatnonzero(fold.foretold)
    return Foretold(fold, at, errors[at], fold.distance[at], 0.0, np.zeros(at.size))

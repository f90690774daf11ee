"""Back-tests inside the given rows: every candidate foretells the larger runs from the smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.laws.candidates import Candidate, kept_rows
from windtunnel.laws.fitting import (
    HUBER_DELTA,
    fit_subsets,
    prior_of,
    residual_scale,
    residuals,
)
from windtunnel.laws.folds import Fold
from windtunnel.laws.forms.form import Belief, Form
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array

# A form with more parameters has to foretell better by this share to be taken: it can go much
# farther astray beyond the rows than in any back-test inside them.
PARSIMONY = 0.3
_RIDGE = 1e-9  # of the information's trace: what no row tells is left very wide
_LEAST_ERROR = 1e-4  # errors below count as this much: no run is known better


@dataclass(frozen=True, slots=True)
class Foretold:
    """What one candidate said of one fold's larger rows.

    Attributes:
        fold: The fold.
        rows: (m,) indices of the rows foretold.
        errors: (m,) foretold less measured, in the form's space.
        distance: (m,) nats beyond the rows fitted.
        scale: Mean absolute residual of the rows fitted, in the form's space.
        leverage: (m,) standard deviation of what the fit alone makes of a row, over the noise of
            one row.
    """

    fold: Fold
    rows: np.ndarray
    errors: Array
    distance: Array
    scale: float
    leverage: Array


@dataclass(frozen=True, slots=True)
class RollingTest:
    """One candidate through all folds.

    Attributes:
        candidate: Which.
        foretold: Fold by fold.
        score: Geometric mean over folds of the mean absolute error: no fold's scale dominates.
            Infinite where there is no fold.
    """

    candidate: Candidate
    foretold: tuple[Foretold, ...]
    score: float

    def to_json(self) -> dict[str, object]:
        """Plain JSON values; the error is null where nothing could be foretold."""
        error = self.score if np.isfinite(self.score) else None
        return {**self.candidate.to_json(), "mean_abs_rel_error": error}


def rolling_tests(
    every: Sequence[Candidate],
    folds: Sequence[Fold],
    inputs: Mapping[str, Array],
    metric: Array,
    doubtful: Mapping[str, np.ndarray],
    groups: np.ndarray,
    *,
    weights: Array | None = None,
    delta: float = HUBER_DELTA,
) -> list[RollingTest]:
    """Put every candidate through every fold.

    Rows that a rule doubts are never foretold, whoever fits them: candidates are compared on the
    same rows, and the target is meant to be no such run. A fold in which some candidate has too
    few rows, or nothing is left to foretell, counts for none.

    Args:
        every: The candidates.
        folds: From `rolling_origins`.
        inputs: (n,) each.
        metric: (n,).
        doubtful: (n,) masks by rule.
        groups: (n,).
        weights: (n,) relative weights of the rows; 1 by default.
        delta: Huber's delta.

    Returns:
        In the order of the candidates.
    """
    count = metric.size
    doubted = np.zeros(count, dtype=bool)
    for mask in doubtful.values():
        doubted |= mask
    kept = {c.rows: kept_rows(c.rows, doubtful, count) for c in every}
    least = 2 + max(len(candidate.form.parameters) for candidate in every)
    usable = [
        fold
        for fold in folds
        if (fold.foretold & ~doubted).any()
        and all((fold.fitted & keep).sum() >= least for keep in kept.values())
    ]
    found: dict[Candidate, list[Foretold]] = {candidate: [] for candidate in every}
    for form in dict.fromkeys(candidate.form for candidate in every):
        rows = Rows.of(form, inputs, metric, weights, groups)
        for name, keep in kept.items():
            own = [c for c in every if c.form is form and c.rows == name]
            if not own or not usable:
                continue
            shown = np.array([(fold.fitted & keep) * rows.weights for fold in usable])
            fits = fit_subsets(rows, shown, {c.prior: c.beliefs for c in own}, delta=delta)
            for candidate in own:
                for fold, weight, parameters in zip(
                    usable, shown, fits[candidate.prior], strict=True
                ):
                    at = np.flatnonzero(fold.foretold & ~doubted)
                    found[candidate].append(
                        Foretold(
                            fold,
                            at,
                            -residuals(rows, parameters)[at],
                            fold.distance[at],
                            residual_scale(rows, parameters, weight),
                            _leverage(rows, parameters, weight, candidate.beliefs, delta)[at],
                        )
                    )
    return [RollingTest(c, tuple(found[c]), _score(found[c])) for c in every]


def _leverage(
    rows: Rows, parameters: Array, weight: Array, beliefs: Sequence[Belief], delta: float
) -> Array:
    """(n,) standard deviation of each row's prediction over one row's noise, to first order."""
    jacobian = rows.form.predict(parameters[None], rows.inputs)[1][0]
    prior = prior_of(rows, parameters, beliefs, weights=weight, delta=delta)
    information = (jacobian.T * weight) @ jacobian + np.diag(prior.precision)
    ridge = _RIDGE * np.trace(information) * np.eye(len(information))
    spread = np.linalg.solve(information + ridge, jacobian.T)
    found: Array = np.sqrt(np.maximum((jacobian.T * spread).sum(axis=0), 0.0))
    return found


def choose(tests: Sequence[RollingTest]) -> RollingTest:
    """The candidate with the least score; one with more parameters only if it is clearly better."""
    best: dict[Form, RollingTest] = {}
    for test in tests:
        form = test.candidate.form
        if form not in best or test.score < best[form].score:
            best[form] = test
    chosen, *others = sorted(best.values(), key=lambda test: len(test.candidate.form.parameters))
    for test in others:
        more = len(test.candidate.form.parameters) > len(chosen.candidate.form.parameters)
        if test.score < chosen.score * (1 - PARSIMONY if more else 1):
            chosen = test
    return chosen


def _score(foretold: Sequence[Foretold]) -> float:
    means = [max(float(np.abs(one.errors).mean()), _LEAST_ERROR) for one in foretold]
    return float(np.exp(np.mean(np.log(means)))) if means else np.inf

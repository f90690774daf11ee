"""Profile likelihood: how much worse the best fit gets as one parameter is moved away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from windtunnel.laws.fitting import prior_of, residuals
from windtunnel.laws.forms.form import Belief, Form, Scaling
from windtunnel.laws.law import Law
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array, minimize_huber

# The least objective for each of (p,) values of a held parameter.
_Objective = Callable[[Array], Array]

_POINTS = 17
_REACH = 3.0  # half-widths of the draws' range that the grid goes to either side
_FARTHEST = 20.0  # the same, where an end was not found
_MOST_ROWS = 3000  # beyond, evenly chosen ones stand for all, and count for all
_STEP = 1e-5  # of finite differences, in nats or units of the solver's coordinates
# A belief is a row of its own; so small a residual stays where Huber's loss is a square.
_BELIEF_UNIT = 1e-7


@dataclass(frozen=True, slots=True)
class Profile:
    """One parameter's profile likelihood.

    Attributes:
        name: As `Form.published` gives it.
        values: (p,) values it was held at, ascending.
        deviance: (p,) twice the drop of the log likelihood when all others are fitted again.
        threshold: The deviance at the ends of the 90 % range.
        best: The fitted value.
        ci90: Where the deviance crosses the threshold; None where it never does.
    """

    name: str
    values: Array
    deviance: Array
    threshold: float
    best: float
    ci90: tuple[float | None, float | None]


def profile_parameters(law: Law) -> tuple[Profile, ...]:
    """Profile every published parameter of a law that one of the solver's coordinates can carry.

    The parameter is held by solving its own formula for one coordinate in which it (or its log)
    is linear, and the others are fitted again, for all values at once. A drop of Huber's
    objective is turned into one of likelihood by the mean of psi squared over that of psi's
    derivative (Schrader and Hettmansperger 1980, "Robust analysis of variance based upon a
    likelihood ratio criterion"), the threshold is Student's t squared with the rows' degrees of
    freedom. Every row counts as independent: where rows are checkpoints of few runs, the draws'
    range, which keeps runs together, is the one to believe.

    Args:
        law: The fitted law, with its beliefs named in the summary.
    """
    form, scaling, delta = law.fitted.form, law.fitted.scaling, law.delta
    beliefs = form.priors.get(str(law.summary.get("prior", "none")), ())
    rows = Rows.of(form, law.inputs, law.observed, law.weight)
    count = len(rows)
    if count > _MOST_ROWS:
        rows = rows.take(np.unique(np.linspace(0, count - 1, _MOST_ROWS).astype(int)))
    freedom = max(count - law.fitted.parameters.size, 1)
    unit = _deviance_unit(residuals(rows, law.fitted.parameters), rows.weights, delta)
    unit *= count / freedom
    unit *= len(rows) / count  # so that chosen rows count for all
    threshold = float(stats.t.ppf(0.95, freedom) ** 2)
    draws = law.published_draws()
    found = []
    for name, best in law.fitted.published().items():
        held = _held(form, scaling, name, law.fitted.parameters)
        if held is not None:
            objective = _objective(rows, law.fitted.parameters, held, beliefs, delta)
            drawn = np.array([held.carried(one[name]) for one in draws])
            found.append(_profile(name, best, held, objective, drawn, unit, threshold))
    return tuple(found)


def _profile(
    name: str,
    best: float,
    held: _Held,
    objective: _Objective,
    drawn: Array,
    unit: float,
    threshold: float,
) -> Profile:
    """Walk as far as the draws' range suggests, and farther where that does not end it."""
    middle = held.carried(best)
    low, high = np.quantile(drawn, [0.05, 0.95])
    half = max(float(high - low) / 2, 1e-6 * max(abs(middle), 1.0))
    grid = middle + half * np.linspace(-_REACH, _REACH, _POINTS)
    values = objective(grid)
    least = float(values[_POINTS // 2])
    for end, side in ((0, -1.0), (_POINTS - 1, 1.0)):
        reach, last = _REACH, float(values[end])
        while 2 * (last - least) / unit < threshold and reach < _FARTHEST:
            more = middle + side * half * np.linspace(reach, 2 * reach, 5)[1:]
            found = objective(more)
            grid, values = np.append(grid, more), np.append(values, found)
            reach, last = 2 * reach, float(found[-1])
    order = np.argsort(grid)
    grid, deviance = grid[order], 2 * (values[order] - values.min()) / unit
    ends = [_crossing(grid, deviance, middle, threshold, side) for side in (-1, 1)]
    shown = [None if end is None else held.shown(end) for end in ends]
    points = np.array([held.shown(each) for each in grid])
    return Profile(name, points, deviance, threshold, best, (shown[0], shown[1]))


@dataclass(frozen=True, slots=True)
class _Held:
    """How a parameter is held: one coordinate follows from it and the others.

    Attributes:
        pivot: That coordinate.
        slope: Of the carried parameter along it.
        carries_log: Whether the parameter is carried as its log.
        value: The carried parameter from the solver's (k,).
    """

    pivot: int
    slope: float
    carries_log: bool
    value: Callable[[Array], float]

    def carried(self, published: float) -> float:
        return float(np.log(published)) if self.carries_log else published

    def shown(self, carried: float) -> float:
        return float(np.exp(carried)) if self.carries_log else carried


def _held(form: Form, scaling: Scaling, name: str, best: Array) -> _Held | None:
    """The coordinate in which the parameter or its log is linear, and steepest."""
    positive = form.published(best, scaling)[name] > 0
    for carries_log in (True, False) if positive else (False,):

        def value(parameters: Array, carries_log: bool = carries_log) -> float:
            published = form.published(parameters, scaling)[name]
            return float(np.log(published)) if carries_log else published

        slopes = []
        for place in range(best.size):
            step = np.zeros(best.size)
            step[place] = 0.01
            up, here, down = value(best + step), value(best), value(best - step)
            slope = (up - down) / 0.02
            bent = abs(up + down - 2 * here) > 1e-6 * max(abs(up - down), 1e-12)
            slopes.append(0.0 if bent else slope)
        pivot = int(np.argmax(np.abs(slopes)))
        if abs(slopes[pivot]) > 1e-9:
            return _Held(pivot, slopes[pivot], carries_log, value)
    return None


def _objective(
    rows: Rows, best: Array, held: _Held, beliefs: Sequence[Belief], delta: float
) -> _Objective:
    """The least objective for each of (p,) values of the carried parameter."""
    form, pivot = rows.form, held.pivot
    names = [parameter.name for parameter in form.parameters]
    places = [names.index(belief.parameter) for belief in beliefs]
    centres = np.array([belief.centre for belief in beliefs])
    prior = prior_of(rows, best, beliefs, delta=delta)
    weights = np.concatenate([rows.weights, prior.precision[places] / _BELIEF_UNIT**2])
    observed = np.concatenate([rows.observed, centres * _BELIEF_UNIT])
    lower, upper = form.lower.copy(), form.upper.copy()
    lower[pivot], upper[pivot] = -np.inf, np.inf  # there the parameter itself stands

    def solved(parameters: Array) -> Array:
        full = parameters.copy()
        full[:, pivot] = 0.0
        without = np.array([held.value(each) for each in full])
        full[:, pivot] = (parameters[:, pivot] - without) / held.slope
        return full

    def model(parameters: Array) -> tuple[Array, Array]:
        full = solved(parameters)
        predicted, jacobian = form.predict(full, rows.inputs)
        predicted = np.concatenate([predicted, full[:, places] * _BELIEF_UNIT], axis=1)
        own = np.zeros((len(full), len(places), best.size))
        own[:, np.arange(len(places)), places] = _BELIEF_UNIT
        jacobian = np.concatenate([jacobian, own], axis=1)
        along_pivot = jacobian[:, :, pivot].copy()
        jacobian[:, :, pivot] = 0.0  # held: no step goes there
        for place in range(best.size):
            if place != pivot:
                moved = parameters.copy()
                moved[:, place] += _STEP
                bend = (solved(moved)[:, pivot] - full[:, pivot]) / _STEP
                jacobian[:, :, place] += along_pivot * bend[:, None]
        return predicted, jacobian

    def least(values: Array) -> Array:
        start = np.tile(best, (values.size, 1))
        start[:, pivot] = values
        solution = minimize_huber(
            model, start, observed, delta=delta, lower=lower, upper=upper, weights=weights
        )
        return solution.objective

    return least


def _deviance_unit(left_over: Array, weights: Array, delta: float) -> float:
    """What a drop of the objective is divided by: mean psi squared over mean psi'.

    Psi' is the share of rows within delta; where that is less than half of them it is read off
    the half nearest the law, since the few rows that a fit passes through would pass for many.
    """
    size = np.abs(left_over)
    pull = float(np.mean((weights * np.minimum(size, delta)) ** 2))
    median = max(float(np.median(size)), 1e-12)
    inside = float(np.mean(weights * (size <= delta))) if median <= delta else 0.5 * delta / median
    return max(pull / inside, 1e-300)


def _crossing(
    grid: Array, deviance: Array, middle: float, threshold: float, side: int
) -> float | None:
    """Where the root of the deviance, nearly a line, first crosses the threshold."""
    own = grid >= middle if side > 0 else grid <= middle
    at, root = grid[own][::side], np.sqrt(deviance[own][::side])
    limit = np.sqrt(threshold)
    beyond = np.flatnonzero(root >= limit)
    if not beyond.size or beyond[0] == 0:
        return None
    last = int(beyond[0])
    share = (limit - root[last - 1]) / (root[last] - root[last - 1])
    return float(at[last - 1] + share * (at[last] - at[last - 1]))

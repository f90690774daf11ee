"""Which runs to add so that the forecast of a target narrows most for their compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.candidate_runs import candidate_runs, training_flops
from windtunnel.laws.deciding.normal_spread import normal_spread
from windtunnel.laws.deciding.target import check_target
from windtunnel.laws.folds import distance
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array
from windtunnel.laws.spread import NORMAL_90

# A run that narrows the range by less than this share is not worth its row in a table.
_LEAST_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class NextRun:
    """A run to add.

    Attributes:
        inputs: Its parameters, tokens and what else the form needs.
        flops: Its cost.
        halfwidth: Half the target's 90 % range expected after it and those before it, in the
            metric's unit.
        shrinkage_per_flop: By how much it narrows that half-width, over its cost.
    """

    inputs: Mapping[str, float]
    flops: float
    halfwidth: float
    shrinkage_per_flop: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **self.inputs,
            "flops": self.flops,
            "halfwidth": self.halfwidth,
            "shrinkage_per_flop": self.shrinkage_per_flop,
        }


@dataclass(frozen=True, slots=True)
class NextRuns:
    """What to add to the table, in the order in which to run it.

    Attributes:
        target: What is forecast.
        budget: FLOPs to spend at most.
        before: Half the target's 90 % range now, in the metric's unit.
        after: The same with all the runs.
        runs: The runs; none where no run within the budget narrows the range.
        flops: Their cost.
        sentence: In words.
    """

    target: Mapping[str, float]
    budget: float
    before: float
    after: float
    runs: tuple[NextRun, ...]
    flops: float
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "target": dict(self.target),
            "budget": self.budget,
            "halfwidth_before": self.before,
            "halfwidth_after": self.after,
            "runs": [run.to_json() for run in self.runs],
            "flops": self.flops,
            "sentence": self.sentence,
        }


def next_runs(law: Law, target: Mapping[str, float], budget: float, *, most: int = 4) -> NextRuns:
    """Choose runs by how much they are expected to narrow the target's range.

    The draws of the law are taken as jointly normal: their predictions at a candidate and at the
    target covary, so measuring the candidate, with one run's noise and the form's own drift,
    leaves the target the variance S_tt - S_tc^2 / (S_cc + noise^2 + drift_c^2), one step of a
    Kalman filter. To it come the target's noise and its drift, which shrinks as the rows reach
    nearer to it. Runs are chosen one after another, once by what each narrows and once by what
    it narrows per FLOP, and the better of the two lists is taken: one alone can be arbitrarily
    bad under a budget (Leskovec et al. 2007, "Cost-effective outbreak detection", section 3.2).

    The loss that a run will show is not needed for this, nor is the law fitted again.

    Args:
        law: A law with draws.
        target: Value of each of the form's inputs.
        budget: FLOPs, 6 a parameter and token.
        most: How many runs at most.

    Raises:
        WindtunnelError: The budget is no positive number, the target is not one of the
            form, or the form's inputs do not say what a run costs.
    """
    if not (math.isfinite(budget) and budget > 0):
        raise WindtunnelError(f"next: a budget of {budget} FLOPs is not a positive number")
    form = law.fitted.form
    at = check_target(form.inputs, target, form=form.name, flag="--target")
    grid = candidate_runs(law, at, budget)
    state = _State.of(law, at, grid)
    before = state.halfwidth()
    lists = [_choose(state, grid, budget, most, per_flop=per_flop) for per_flop in (True, False)]
    runs = min(lists, key=lambda found: (found[-1].halfwidth if found else before, len(found)))
    after = runs[-1].halfwidth if runs else before
    sentence = _sentence(
        runs, before, after, budget, drifts=bool(state.drifts()[0] > state.covariance[0, 0])
    )
    flops = sum(run.flops for run in runs)
    return NextRuns(at, budget, before, after, tuple(runs), flops, sentence)


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of the target (column 0) and of the candidates (the others).

    Attributes:
        law: The law.
        covariance: (1 + c, 1 + c) of what the draws say, in the form's space.
        measured: Inputs of the rows and of the runs chosen so far.
        points: (1 + c,) of each input, the target first.
    """

    law: Law
    covariance: Array
    measured: Mapping[str, Array]
    points: Mapping[str, Array]

    @staticmethod
    def of(law: Law, target: Mapping[str, float], grid: Mapping[str, Array]) -> _State:
        points = {name: np.append(target[name], grid[name]) for name in target}
        fitted = law.fitted
        drawn = fitted.form.predict(law.draws, fitted.scaling.scale(points))[0]
        # A few wild draws make a standard deviation, but hardly a 90 % range.
        sizes = drawn.std(axis=0)
        scale = normal_spread(drawn) / np.where(sizes > 0, sizes, 1.0)
        covariance = np.atleast_2d(np.cov(drawn, rowvar=False)) * np.outer(scale, scale)
        return _State(law, covariance, {name: law.inputs[name] for name in target}, points)

    def drifts(self) -> Array:
        """(1 + c,) variances of what the form is off by."""
        squares: Array = (self.law.spread.drift * distance(self.measured, self.points)) ** 2
        return squares

    def halfwidth(self) -> float:
        """Half the target's 90 % range, in the metric's unit."""
        return float(self._halfwidths(self.covariance[:1, 0] + self.drifts()[:1])[0])

    def halfwidths_after(self) -> Array:
        """(c,) the same, with each of the candidates measured."""
        shared, own = self.covariance[0, 1:], np.diag(self.covariance)[1:]
        noise = self.law.spread.noise**2 + self.drifts()[1:]
        known = self.covariance[0, 0] - shared**2 / np.maximum(own + noise, 1e-300)
        target = {name: values[:1] for name, values in self.points.items()}
        nats = [float(distance(self._with(1 + place), target)[0]) for place in range(own.size)]
        return self._halfwidths(known + (self.law.spread.drift * np.array(nats)) ** 2)

    def after(self, chosen: int) -> _State:
        """With one more run: the number of its point."""
        column = self.covariance[:, chosen]
        noise = self.law.spread.noise**2 + float(self.drifts()[chosen])
        known = self.covariance - np.outer(column, column) / max(column[chosen] + noise, 1e-300)
        return _State(self.law, known, self._with(chosen), self.points)

    def _with(self, chosen: int) -> dict[str, Array]:
        return {
            name: np.append(values, self.points[name][chosen])
            for name, values in self.measured.items()
        }

    def _halfwidths(self, variances: Array) -> Array:
        spread, fitted = self.law.spread, self.law.fitted
        known = np.sqrt(np.maximum(variances, 0.0) + spread.noise**2)
        half: Array = NORMAL_90 * spread.widening * known
        if fitted.form.space == "linear":
            return half * math.exp(fitted.scaling.metric)
        at = {name: values[:1] for name, values in self.points.items()}
        return np.asarray(fitted(at) * np.sinh(half))


def _choose(
    state: _State, grid: Mapping[str, Array], budget: float, most: int, *, per_flop: bool
) -> list[NextRun]:
    costs, left = training_flops(grid), budget
    runs: list[NextRun] = []
    for _ in range(most):
        now = state.halfwidth()
        gains = now - state.halfwidths_after()
        worth = (gains > _LEAST_GAIN * now) & (costs <= left)
        if not worth.any():
            break
        best = int(np.where(worth, gains / costs if per_flop else gains, -np.inf).argmax())
        state = state.after(1 + best)
        cost, gain = float(costs[best]), float(gains[best])
        left -= cost
        inputs = {name: float(values[best]) for name, values in grid.items()}
        runs.append(NextRun(inputs, cost, now - gain, gain / cost))
    return runs


def _sentence(
    runs: list[NextRun], before: float, after: float, budget: float, *, drifts: bool
) -> str:
    if not runs:
        why = (
            "most of it is what the form may be off by so far beyond the runs, and only runs "
            "nearer to the target mend that"
            if drifts
            else "the runs there are say nearly as much"
        )
        return (
            f"No run within {budget:.3g} FLOPs is expected to narrow the target's range of "
            f"+-{before:.2g} by {100 * _LEAST_GAIN:.0f} %: {why}; give a larger budget."
        )
    named = "; ".join(
        ", ".join(f"{name} {value:.3g}" for name, value in run.inputs.items()) for run in runs
    )
    many = "this run" if len(runs) == 1 else f"these {len(runs)} runs"
    return (
        f"Add {many}, for {sum(run.flops for run in runs):.2g} FLOPs: {named}. The target's range "
        f"is expected to narrow from +-{before:.2g} to +-{after:.2g}."
    )

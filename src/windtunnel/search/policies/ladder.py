"""Ladder: FLOPs go to whichever recipe and scale tell most about the target's best recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Float, Space
from windtunnel.search.surrogate.beliefs import AxisBelief
from windtunnel.search.surrogate.features import Array, Cells, Features
from windtunnel.search.surrogate.outcome import Drift, LadderOutcome
from windtunnel.search.surrogate.posterior import NOISE, Posterior
from windtunnel.search.surrogate.regret import (
    FARTHEST,
    NORMAL_90,
    Optimum,
    best_recipe,
    drifts,
    optimum,
    reductions,
)
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial

ACCEPTED = 0.002  # expected regret at the target, as a share of the loss
_CANDIDATES = 256
_MOVED = 3.0  # hyperparameters of a candidate, on average
# A run that would take off less than this share of the expected regret settles nothing.
_HOPELESS = 1e-3

Scale = Mapping[str, float]
# The best recipe at a scale before any run: a rule's or a law's.
PriorRecipe = Callable[[Scale], Mapping[str, float]]


class LadderPolicy:
    """The joint surrogate over recipes and scales (`windtunnel.search.surrogate`) as a policy.

    Its prior mean is a parametrization rule or a hyperparameter law: under a rule that transfers
    the best recipe is the same at every scale, which is the default. Runs at small scales tell
    where the optimum lies there, and how it drifts away from the prior; each next run is the one
    that takes most off the expected regret at the target, per FLOP. It ends when that is
    accepted, or when no run at these scales can say more: then what doesn't transfer has to be
    tuned directly. Trials hold the recipe and the scale's axes side by side.

    Args:
        space: `Float` parameters on a log scale.
        scales: The proxies, each the values of its axes, such as `{"width": 64, "tokens": 1e6}`.
        target: The scale to choose a recipe for.
        cost: FLOPs of one run at a scale; by default the product of the axes, with the width
            squared.
        prior: The best recipe at a scale before any run; the middle of the space by default.
        beliefs: How steep, how far off and how drifting each hyperparameter may be; by default
            `AxisBelief(name)`.
        accepted: Expected regret at the target that is good enough, as a share of the loss.
        noise: Standard deviation of log loss from seed to seed.
        runs: At most so many.

    Raises:
        WindtunnelError: A parameter isn't on a log scale, scales have unlike axes or names of
            parameters, or there is none.
    """

    asynchronous = False

    def __init__(
        self,
        space: Space,
        *,
        scales: Sequence[Scale],
        target: Scale,
        cost: Callable[[Scale], float] | None = None,
        prior: PriorRecipe | None = None,
        beliefs: Sequence[AxisBelief] | None = None,
        accepted: float = ACCEPTED,
        noise: float = NOISE,
        runs: int = 1000,
    ) -> None:
        _check(space, scales, target)
        self._space = space
        self._names = space.names
        self._axes = tuple(target)
        self._scales = [dict(scale) for scale in scales]
        every = [*self._scales, dict(target)]
        self._target, self._target_scale = len(self._scales), dict(target)
        measured = _usual_cost if cost is None else cost
        self._costs = np.array([measured(scale) for scale in self._scales], dtype=float)
        if not (np.isfinite(self._costs).all() and (self._costs > 0).all()):
            raise WindtunnelError("ladder: the cost of every scale has to be a positive number")
        self._features = Features(
            tuple(beliefs) if beliefs is not None else tuple(map(AxisBelief, self._names)),
            np.array([self._recipe(prior, scale) for scale in every]),
            np.log2([[float(scale[axis]) for axis in self._axes] for scale in every]),
            np.log2([float(self._scales[0][axis]) for axis in self._axes]),
        )
        self._low, self._high = (
            np.log2([getattr(p, end) for p in space.parameters.values()]) for end in ("low", "high")
        )
        self._accepted, self._noise, self._runs = accepted, noise, runs
        self._cells = {self._scale_key(scale): place for place, scale in enumerate(self._scales)}
        # How many runs the posterior holds, and the last of them.
        self._taken: tuple[int, Row[Trial] | None] = 0, None
        self._posterior = Posterior(self._features, noise)

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """One run, or why there is no other."""
        if budget.spent:
            return Stop(budget.spent)
        if len(table) >= self._runs:
            return Stop(f"{self._runs} runs are decided; {self._words(self.outcome(table))}")
        posterior, waiting = self._known(table)
        best = optimum(posterior, self._target)
        if best.regret <= self._accepted:
            return Stop(self._words(self._outcome(best)))
        left = math.inf if budget.flops is None else budget.flops - budget.flops_used
        affordable = np.flatnonzero(self._costs <= left)
        if not affordable.size:
            return Stop(f"no run fits into the budget; {self._words(self._outcome(best))}")
        recipes, cells = self._candidates(posterior, affordable, len(table), seed)
        covariance = posterior.covariance_with(*waiting)
        gains = reductions(posterior, self._target, recipes, cells, covariance)
        if not waiting[1].size and gains.max() < _HOPELESS * best.regret:
            return Stop(f"no run at these scales says more; {self._words(self._outcome(best))}")
        chosen = int(np.argmax(gains / self._costs[cells]))
        scale = self._scales[int(cells[chosen])]
        values = self._values(recipes[chosen])
        where = ", ".join(f"{axis} {scale[axis]:g}" for axis in self._axes)
        purpose = (
            f"{where}: takes {100 * gains[chosen]:.2g} % off an expected regret of "
            f"{100 * best.regret:.2g} %"
        )
        return [Decision(Trial.of({**values, **scale}, seed=seed + len(table)), purpose)]

    def outcome(self, table: Table[Trial]) -> LadderOutcome:
        """What the runs so far say of the target."""
        return self._outcome(optimum(self._known(table)[0], self._target))

    def recommended(self, table: Table[Trial]) -> Trial:
        """The recipe to take at the target, with the target's scale beside it."""
        return Trial.of({**self.outcome(table).values, **self._target_scale})

    def recipes(self, table: Table[Trial]) -> list[tuple[Scale, Mapping[str, float]]]:
        """The recipe expected to be best at every proxy."""
        posterior = self._known(table)[0]
        return [
            (scale, self._values(np.clip(best_recipe(posterior, cell), self._low, self._high)))
            for cell, scale in enumerate(self._scales)
        ]

    def drifts(self, table: Table[Trial]) -> Mapping[str, Mapping[str, Drift]]:
        """How each hyperparameter's best value leaves the prior's, by the scale's axis."""
        means, sds = drifts(self._known(table)[0])
        return {
            name: {
                axis: Drift(
                    float(means[place, along]),
                    (
                        float(means[place, along] - NORMAL_90 * sds[place, along]),
                        float(means[place, along] + NORMAL_90 * sds[place, along]),
                    ),
                )
                for along, axis in enumerate(self._axes)
            }
            for place, name in enumerate(self._names)
        }

    def _known(self, table: Table[Trial]) -> tuple[Posterior, tuple[Array, Cells]]:
        """The posterior of the runs that ended, and the recipes and cells of the others.

        Runs are taken in by number, so that what is remembered between calls changes nothing.
        """
        ended = [row for row in table if row.done and row.state != "failed"]
        # Results never change, so a table with the same last one begins with all those before it.
        count, last = self._taken
        if count and (len(ended) < count or ended[count - 1] != last):
            count, self._posterior = 0, Posterior(self._features, self._noise)
        for row in ended[count:]:
            recipe, cell = self._place(row)
            self._posterior.add(recipe, cell, row.loss)
        self._taken = len(ended), ended[-1] if ended else None
        waiting = [self._place(row) for row in table if not row.done]
        recipes = np.array([recipe for recipe, _ in waiting]).reshape(-1, len(self._names))
        cells = np.array([cell for _, cell in waiting], dtype=np.int64)
        return self._posterior, (recipes, cells)

    def _candidates(
        self, posterior: Posterior, affordable: Cells, number: int, seed: int
    ) -> tuple[Array, Cells]:
        """Recipes around each scale's own best one, as far as one would go from it.

        A few hyperparameters are moved at a time: with all of ten moved far, every run is a bad
        one, and bad runs say little of the best.
        """
        generator = np.random.default_rng([seed, number])
        place = np.resize(np.arange(affordable.size), _CANDIDATES)
        centres = np.array([best_recipe(posterior, int(cell)) for cell in affordable])
        shape = (_CANDIDATES, len(self._names))
        moved = generator.random(shape) < _MOVED / len(self._names)
        offsets = FARTHEST * generator.uniform(-1, 1, shape) * moved
        return np.clip(centres[place] + offsets, self._low, self._high), affordable[place]

    def _outcome(self, best: Optimum) -> LadderOutcome:
        recipe = np.clip(best.recipe, self._low, self._high)
        low, high = best.ci90
        settled = best.regret <= self._accepted
        share = self._accepted / len(self._names)
        worst = [int(place) for place in np.argsort(-best.by_axis)]
        directly = [self._names[place] for place in worst if best.by_axis[place] > share]
        return LadderOutcome(
            self._values(recipe),
            {
                name: (float(2 ** low[place]), float(2 ** high[place]))
                for place, name in enumerate(self._names)
            },
            best.regret,
            settled,
            () if settled else tuple(directly),
        )

    def _words(self, found: LadderOutcome) -> str:
        values = ", ".join(f"{name} {value:.3g}" for name, value in found.values.items())
        words = f"at the target take {values}: expected to cost {100 * found.regret:.2g} %"
        if found.settled:
            return f"{words}, within {100 * self._accepted:.2g} %"
        tune = f"; tune {' and '.join(found.directly)} directly" if found.directly else ""
        return f"{words}, above {100 * self._accepted:.2g} %{tune}"

    def _values(self, recipe: Array) -> dict[str, float]:
        return {name: float(2**value) for name, value in zip(self._names, recipe, strict=True)}

    def _place(self, row: Row[Trial]) -> tuple[Array, int]:
        values = row.run.values
        return (
            np.log2([float(values[name]) for name in self._names]),
            self._cells[self._scale_key(values)],
        )

    def _scale_key(self, values: Mapping[str, object]) -> tuple[object, ...]:
        return tuple(values[axis] for axis in self._axes)

    def _recipe(self, prior: PriorRecipe | None, scale: Scale) -> list[float]:
        if prior is None:
            parameters = self._space.parameters.values()
            return [math.log2(p.value(0.5)) for p in parameters if isinstance(p, Float)]
        given = prior(scale)
        return [math.log2(given[name]) for name in self._names]


def _usual_cost(scale: Scale) -> float:
    return math.prod(value**2 if axis == "width" else value for axis, value in scale.items())


def _check(space: Space, scales: Sequence[Scale], target: Scale) -> None:
    for name, parameter in space.parameters.items():
        if not isinstance(parameter, Float) or not parameter.log or parameter.when:
            raise WindtunnelError(f"ladder: {name} is no number on a log scale; it searches these")
        if name in target:
            raise WindtunnelError(f"ladder: {name} is searched and an axis of scale; rename one")
    if not scales:
        raise WindtunnelError("ladder: there is no scale to search at; give the proxies' scales")
    for scale in (*scales, target):
        if set(scale) != set(target):
            raise WindtunnelError(
                f"ladder: a scale has {', '.join(scale)} and the target {', '.join(target)}; give "
                "all of them the same axes"
            )
        for axis, value in scale.items():
            if not (math.isfinite(value) and value > 0):
                raise WindtunnelError(f"ladder: {axis} {value} is not a positive number")

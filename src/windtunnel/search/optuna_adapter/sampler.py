"""Our policies as Optuna samplers."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from windtunnel.search.optuna_adapter.library import optuna_library
from windtunnel.search.optuna_adapter.space import (
    Choice,
    Float,
    Int,
    Parameter,
    Space,
    Value,
    from_ours,
    space_of,
    to_ours,
)

# Trials that were begun and never asked for a parameter: beyond so many, they are left-overs.
_MOST_OPEN = 16


@dataclass(frozen=True, slots=True)
class Point:
    """One trial as a policy sees it.

    Attributes:
        number: From 0, without gaps.
        values: By parameter.
        loss: To be minimised; None while there is none, and for a failed trial.
        done: Whether nothing more will come.
    """

    number: int
    values: Mapping[str, Value]
    loss: float | None
    done: bool


class ValuesPolicy(Protocol):
    """A policy that decides on values alone."""

    def next(self, table: Sequence[Point], seed: int) -> Sequence[Mapping[str, Value]]:
        """Values to try next; none to wait or to stop. Equal arguments give equal answers."""
        ...


class PolicySampler:
    """An Optuna sampler whose values a policy of ours decides on.

    As with Optuna's own relative samplers, the space is what all finished trials share; parameters
    outside it, and every parameter before the first trial has ended, are drawn at random. So are
    all where the policy has nothing to propose, since Optuna can't wait. Draws depend on the seed,
    the trial's number and the parameter's name alone.

    Args:
        make_policy: Makes the policy for a space.
        seed: Of the policy and the draws; a new one each time by default.
    """

    def __init__(
        self, make_policy: Callable[[Space], ValuesPolicy], *, seed: int | None = None
    ) -> None:
        optuna = optuna_library()
        optuna.samplers.BaseSampler.register(type(self))
        self._make_policy = make_policy
        self._seed = secrets.randbits(31) if seed is None else seed
        self._shared = optuna.search_space.IntersectionSearchSpace()
        self._policies: dict[tuple[tuple[str, Parameter], ...], ValuesPolicy] = {}

    def __str__(self) -> str:
        """The name that Optuna shows."""
        return type(self).__name__

    def reseed_rng(self) -> None:
        """Nothing to do: no draw depends on an earlier one."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """What all finished trials share, but for parameters of one value."""
        del trial
        shared = self._shared.calculate(study)
        return {name: d for name, d in shared.items() if not d.single()}

    def sample_relative(
        self, study: Any, trial: Any, search_space: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The policy's next values in this space.

        Raises:
            ValueError: The study has several objectives.
        """
        _refuse_many_objectives(study)
        if not search_space:
            return {}
        space = space_of(search_space)
        policy = self._policies.get(key := tuple(space.items()))
        if policy is None:
            policy = self._policies[key] = self._make_policy(space)
        points, waiting = _points(study, trial, search_space)
        for _ in range(waiting):  # what they were given is not in the storage yet
            ahead = policy.next(points, self._seed)
            if not ahead:
                break
            points.append(Point(len(points), ahead[0], None, done=False))
        proposed = policy.next(points, self._seed)
        if not proposed:
            return {
                name: self.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }
        return {
            name: from_ours(distribution, proposed[0][name])
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """A random value.

        Raises:
            ValueError: The study has several objectives.
        """
        _refuse_many_objectives(study)
        (parameter,) = space_of({param_name: param_distribution}).values()
        text = f"{self._seed} {trial.number} {param_name}"
        draw = np.random.default_rng(
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        )
        return from_ours(param_distribution, random_value(parameter, draw))

    def before_trial(self, study: Any, trial: Any) -> None:
        """Nothing to do."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Nothing to do: results are read from the study."""


def random_value(parameter: Parameter, draw: np.random.Generator) -> Value:
    """A value drawn evenly from a parameter's range, in log where it says so."""
    if isinstance(parameter, Choice):
        return parameter.choices[int(draw.integers(len(parameter.choices)))]
    if isinstance(parameter, Int):
        if not parameter.log:
            return int(draw.integers(parameter.low, parameter.high, endpoint=True))
        return round(_between(parameter.low - 0.5, parameter.high + 0.5, draw, parameter))
    if parameter.log:
        return _between(parameter.low, parameter.high, draw, parameter)
    return float(draw.uniform(parameter.low, parameter.high))


def _between(low: float, high: float, draw: np.random.Generator, parameter: Float | Int) -> float:
    """Drawn evenly in log; rounding at an end never leaves the range."""
    drawn = math.exp(draw.uniform(math.log(low), math.log(high)))
    return float(min(max(drawn, parameter.low), parameter.high))


def _points(study: Any, trial: Any, search_space: Mapping[str, Any]) -> tuple[list[Point], int]:
    """Trials before this one in the space, and how many more are open without any values yet."""
    sign = -1.0 if study.directions[0].name == "MAXIMIZE" else 1.0
    points: list[Point] = []
    waiting = 0
    for other in study.get_trials(deepcopy=False):
        if other.number >= trial.number:
            continue
        if not all(
            name in other.params
            and distribution._contains(distribution.to_internal_repr(other.params[name]))
            for name, distribution in search_space.items()
        ):
            waiting += not other.state.is_finished() and not other.params
            continue
        values = {name: to_ours(d, other.params[name]) for name, d in search_space.items()}
        complete = other.state.name == "COMPLETE"
        points.append(
            Point(
                len(points),
                values,
                sign * other.values[0] if complete else None,
                other.state.is_finished(),
            )
        )
    return points, min(waiting, _MOST_OPEN)


def _refuse_many_objectives(study: Any) -> None:
    if len(study.directions) > 1:
        raise ValueError("PolicySampler: a study of several objectives; ours have one loss")

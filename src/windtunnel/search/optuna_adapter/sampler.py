"""Our policies as Optuna samplers."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from windtunnel.search.optuna_adapter.library import optuna_library
from windtunnel.search.optuna_adapter.space import from_ours, space_of, to_ours
from windtunnel.search.policy import Budget, Policy, Stop
from windtunnel.search.space import Space
from windtunnel.search.table import Row, State
from windtunnel.search.trial import Trial

# Trials that were begun and never asked for a parameter: beyond so many, they are left-overs.
_MOST_OPEN = 16


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
        self, make_policy: Callable[[Space], Policy[Trial]], *, seed: int | None = None
    ) -> None:
        optuna = optuna_library()
        optuna.samplers.BaseSampler.register(type(self))
        self._make_policy = make_policy
        self._seed = secrets.randbits(31) if seed is None else seed
        self._shared = optuna.search_space.IntersectionSearchSpace()
        self._policies: dict[str, Policy[Trial]] = {}

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
        policy = self._policies.get(key := repr(sorted(search_space.items())))
        if policy is None:
            policy = self._policies[key] = self._make_policy(space)
        rows, waiting = _rows(study, trial, search_space)
        for _ in range(waiting):  # what they were given is not in the storage yet
            ahead = self._proposed(policy, rows)
            if ahead is None:
                break
            rows.append(Row(len(rows), ahead, "", "running"))
        proposed = self._proposed(policy, rows)
        values = {} if proposed is None else proposed.values
        return {
            name: from_ours(distribution, values[name])
            if name in values
            else self.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }

    def _proposed(self, policy: Policy[Trial], rows: Sequence[Row[Trial]]) -> Trial | None:
        """The first of what the policy decides on; None where it waits or has stopped."""
        answer = policy.next(rows, Budget(), self._seed)
        return None if isinstance(answer, Stop) or not answer else answer[0].run

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """A random value.

        Raises:
            ValueError: The study has several objectives.
        """
        _refuse_many_objectives(study)
        space = space_of({param_name: param_distribution})
        text = f"{self._seed} {trial.number} {param_name}"
        draw = np.random.default_rng(
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        )
        return from_ours(param_distribution, space.draw(draw)[param_name])

    def before_trial(self, study: Any, trial: Any) -> None:
        """Nothing to do."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Nothing to do: results are read from the study."""


def _rows(study: Any, trial: Any, search_space: Mapping[str, Any]) -> tuple[list[Row[Trial]], int]:
    """Trials before this one in the space, and how many more are open without any values yet."""
    sign = -1.0 if study.directions[0].name == "MAXIMIZE" else 1.0
    rows: list[Row[Trial]] = []
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
        state: State = "finished" if complete else "failed"
        rows.append(
            Row(
                len(rows),
                Trial.of(values),
                "",
                state if other.state.is_finished() else "running",
                sign * other.values[0] if complete else None,
            )
        )
    return rows, min(waiting, _MOST_OPEN)


def _refuse_many_objectives(study: Any) -> None:
    if len(study.directions) > 1:
        raise ValueError("PolicySampler: a study of several objectives; ours have one loss")

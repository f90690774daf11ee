"""Our policies as Optuna samplers, by Optuna's own published conformance suite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("optuna")
pytest.importorskip("optuna.testing.pytest_samplers")

import optuna
from optuna.testing import pytest_samplers as suite

from windtunnel.search.optuna_adapter.sampler import PolicySampler
from windtunnel.search.policies.sobol import SobolPolicy
from windtunnel.search.policy import Answer, Budget, Decision
from windtunnel.search.space import Float, Space
from windtunnel.search.table import Table
from windtunnel.search.trial import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)


class NearTheBest:
    """Every third draw anywhere, the others around the best so far."""

    asynchronous = False

    def __init__(self, space: Space) -> None:
        self.space = space

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        draw = np.random.default_rng([seed, len(table)])
        values = self.space.draw(draw)
        done = [row for row in table if row.loss is not None]
        if done and len(table) % 3:
            best = min(done, key=lambda row: (row.loss, row.number)).run.values
            for name, parameter in self.space.parameters.items():
                centre = best[name]
                if isinstance(parameter, Float):
                    assert isinstance(centre, float)
                    reach = 0.2 * (parameter.high - parameter.low) * draw.standard_normal()
                    values[name] = min(max(centre + reach, parameter.low), parameter.high)
                elif draw.random() < 0.7:
                    values[name] = centre
        return [Decision(Trial.of(values), "")]


class TestBasic(suite.BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], PolicySampler]:
        return lambda: PolicySampler(NearTheBest, seed=1)


class TestRelative(suite.RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], PolicySampler]:
        return lambda: PolicySampler(NearTheBest, seed=1)


class TestSingleObjective(suite.SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], PolicySampler]:
        return lambda: PolicySampler(NearTheBest, seed=1)


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", -5, 5)
    return float((x - 1) ** 2 + (y + 2) ** 2)


def optimised(seed: int, direction: str = "minimize") -> list[float]:
    study = optuna.create_study(sampler=PolicySampler(NearTheBest, seed=seed), direction=direction)
    sign = 1 if direction == "minimize" else -1
    study.optimize(lambda trial: sign * objective(trial), n_trials=40)
    return [sign * trial.value for trial in study.trials]


def test_the_policy_decides_and_the_seed_repeats_it() -> None:
    assert optimised(0) == optimised(0)
    assert optimised(0) != optimised(1)
    assert optimised(0) == optimised(0, "maximize")
    assert min(optimised(0)) < 0.3


def test_trials_at_once_get_different_values() -> None:
    study = optuna.create_study(sampler=PolicySampler(NearTheBest, seed=0))
    study.optimize(objective, n_trials=3)
    space = study.trials[-1].distributions
    created = [
        study._storage.get_trial(study._storage.create_new_trial(study._study_id)) for _ in range(4)
    ]
    proposed = [study.sampler.sample_relative(study, trial, space) for trial in created]
    assert len({value["x"] for value in proposed}) == 4


def test_it_counts_as_a_sampler() -> None:
    assert isinstance(PolicySampler(NearTheBest), optuna.samplers.BaseSampler)


def test_a_policy_with_nothing_to_say_leaves_random_values() -> None:
    class Silent:
        asynchronous = False

        def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
            return []

    study = optuna.create_study(sampler=PolicySampler(lambda space: Silent(), seed=0))
    study.optimize(objective, n_trials=5)
    assert len({trial.params["x"] for trial in study.trials}) == 5


def test_one_of_our_own_policies() -> None:
    sampler = PolicySampler(lambda space: SobolPolicy(space, trials=32), seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=33)
    relative = [trial.params["x"] for trial in study.trials[1:]]
    cells = {int((x + 5) / 10 * 16) for x in relative}
    assert len(cells) == 16  # evenly spread, unlike random draws

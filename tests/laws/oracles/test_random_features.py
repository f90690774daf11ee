from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.oracles.random_features import (
    Task,
    data_exponent,
    mean_error,
    power_law_task,
)


def small_task() -> Task:
    index = np.arange(1.0, 1501)
    return Task(index**-1.5, index**-1.5, 0.05)


@pytest.mark.parametrize(
    ("samples", "features", "ridge", "expected"),
    [
        (100, 400, 1e-2, 0.474),
        (200, 100, 1e-2, 0.647),
        (300, 1000, 1e-3, 0.300),
        (100, 100, 0.1, 0.637),
    ],
)
def test_values_confirmed_by_simulation(samples, features, ridge, expected) -> None:
    assert mean_error(small_task(), samples, features, ridge)[0] == pytest.approx(
        expected, abs=6e-4
    )


def test_a_simulation_agrees() -> None:
    """Ridge regression with 100 samples and 60 random features, on 400 modes."""
    generator = np.random.default_rng(0)
    index = np.arange(1.0, 401)
    task = Task(index**-1.5, index**-1.5, 0.05)
    samples, features, ridge = 100, 60, 0.05
    test, train = [], []
    for _ in range(60):
        inputs = generator.standard_normal((samples, 400))
        weights = generator.standard_normal((features, 400)) * np.sqrt(task.eigenvalues)
        random = inputs @ weights.T / np.sqrt(features)
        signs = np.sqrt(task.coefficients) * generator.choice([-1, 1], 400)
        labels = inputs @ signs + np.sqrt(0.05) * generator.standard_normal(samples)
        solved = np.linalg.solve(random @ random.T + ridge * np.eye(samples), labels)
        learned = weights.T @ (random.T @ solved) / np.sqrt(features)
        test.append(((learned - signs) ** 2).sum() + 0.05)
        train.append(np.mean((random @ (random.T @ solved) - labels) ** 2))
    expected = mean_error(task, samples, features, ridge)
    assert np.mean(test) == pytest.approx(expected[0], rel=0.05)
    assert np.mean(train) == pytest.approx(expected[1], rel=0.07)


@pytest.mark.parametrize(
    ("eigenvalue_decay", "target_decay", "expected"),
    [(1.5, 1.6, 0.60), (1.5, 2.5, 1.50), (2.0, 1.3, 0.30), (1.5, 5.0, 3.0)],
)
def test_exponents_of_noiseless_kernel_regression(
    eigenvalue_decay: float, target_decay: float, expected: float
) -> None:
    assert data_exponent(eigenvalue_decay, target_decay) == pytest.approx(expected)
    task = power_law_task(eigenvalue_decay, target_decay)
    errors = [mean_error(task, n, np.inf, 1e-12)[0] for n in (1000, 4000)]
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx(expected, abs=0.01)


def test_many_features_tend_to_the_kernel_and_more_is_better() -> None:
    task = small_task()
    assert mean_error(task, 100, 1e9, 1e-2) == pytest.approx(
        mean_error(task, 100, np.inf, 1e-2), rel=1e-6
    )
    ridges = np.geomspace(1e-4, 10, 40)
    best = [
        [min(mean_error(task, n, k, ridge)[0] for ridge in ridges) for k in (50, 200, 800)]
        for n in (50, 200)
    ]
    assert (np.diff(best, axis=0) < 0).all() and (np.diff(best, axis=1) < 0).all()


def test_impossible_tasks_are_refused() -> None:
    with pytest.raises(WindtunnelError, match="both must be above 1"):
        power_law_task(1.5, 1.0)
    with pytest.raises(WindtunnelError, match="ridge 0; give positive numbers"):
        mean_error(small_task(), 10, 10, 0.0)

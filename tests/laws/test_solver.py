from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from windtunnel.laws.solver import Prior, huber, minimize_huber


def linear(basis: np.ndarray):
    return lambda p: (p @ basis.T, np.broadcast_to(basis, (len(p), *basis.shape)).copy())


def solve(basis: np.ndarray, observed: np.ndarray, **options):
    k = basis.shape[1]
    bounds = {"lower": np.full(k, -50.0), "upper": np.full(k, 50.0)} | options
    return minimize_huber(linear(basis), np.zeros((len(observed), k)), observed, **bounds)


def test_a_large_delta_is_least_squares() -> None:
    generator = np.random.default_rng(0)
    basis, observed = generator.standard_normal((9, 3)), generator.standard_normal((4, 9))
    found = solve(basis, observed, delta=100.0)
    expected = np.linalg.lstsq(basis, observed.T, rcond=None)[0].T
    np.testing.assert_allclose(found.parameters, expected, atol=1e-6)


@pytest.mark.parametrize("delta", [0.3, 1e-2])
def test_a_small_delta_agrees_with_a_general_minimiser(delta: float) -> None:
    generator = np.random.default_rng(1)
    basis, observed = generator.standard_normal((15, 3)), generator.standard_normal((3, 15))
    found = solve(basis, observed, delta=delta)
    for row, objective in zip(observed, found.objective, strict=True):
        best = minimize(
            lambda p, y=row: huber(basis @ p - y, delta).sum(),
            np.zeros(3),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000},
        )
        assert objective <= best.fun * (1 + 1e-6)


def test_problems_do_not_touch_each_other() -> None:
    generator = np.random.default_rng(2)
    basis, observed = generator.standard_normal((8, 2)), generator.standard_normal((5, 8))
    together = solve(basis, observed, delta=0.1).parameters
    alone = np.concatenate([solve(basis, row[None], delta=0.1).parameters for row in observed])
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_bounds_hold_and_the_rest_is_best_given_them() -> None:
    basis = np.array([[1.0, 0.5], [0.2, 1.0], [1.0, 1.0]])
    observed = (basis @ np.array([3.0, -1.0]))[None]
    found = solve(
        basis, observed, delta=100.0, lower=np.array([-50.0, 0.0]), upper=np.array([50.0, 50.0])
    )
    assert found.parameters[0, 1] == 0
    best = np.linalg.lstsq(basis[:, :1], observed[0], rcond=None)[0]
    assert found.parameters[0, 0] == pytest.approx(best[0])


def test_the_prior_is_a_quadratic_pull() -> None:
    basis, observed = np.ones((4, 1)), np.full((1, 4), 2.0)
    prior = Prior(np.array([0.0]), np.array([4.0]))
    assert solve(basis, observed, delta=100.0, prior=prior).parameters[0, 0] == pytest.approx(1.0)

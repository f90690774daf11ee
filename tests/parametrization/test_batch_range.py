"""Where the batch rules' rates leave the best ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.batch_range import rate_overshoot

batches = st.floats(1, 1e6)


@given(batches, st.floats(0.01, 100), batches)
def test_linear_and_root_overshoot_alike(batch: float, ratio: float, critical: float) -> None:
    expected = (ratio * batch + critical) / (batch + critical)
    for rule in ("linear", "adam-sde", "completed-p"):
        assert rate_overshoot(rule, batch, ratio, critical) == pytest.approx(expected)


def test_far_below_the_critical_batch_they_hold_and_beyond_they_do_not() -> None:
    for rule in ("linear", "adam-sde"):
        assert rate_overshoot(rule, 1, 8, 1e6) == pytest.approx(1, abs=1e-5)
        assert rate_overshoot(rule, 1e6, 8, 1) == pytest.approx(8, rel=1e-4)


def test_a_constant_rate_for_adam_is_too_small_below_and_too_large_above() -> None:
    assert rate_overshoot("sdew", 1, 4, 1e6) == pytest.approx(0.5, rel=1e-4)
    assert rate_overshoot("sdew", 100, 4, 200) == pytest.approx(1)
    assert rate_overshoot("sdew", 1e6, 4, 1) == pytest.approx(2, rel=1e-4)


def test_the_best_rate_of_sgd_on_a_quadratic() -> None:
    """Loss |w|^2 / 2 falls most in expectation at rate |G|^2 / (|G|^2 + tr(S) / B)."""
    gradient, covariance = np.array([1.0, 2.0]), np.diag([3.0, 7.0])
    noise = np.trace(covariance) / (gradient @ gradient)

    def best(batch: float) -> float:
        rates = np.linspace(0, 1, 200_001)
        second = gradient @ gradient + np.trace(covariance) / batch
        expected = -rates * (gradient @ gradient) + rates**2 / 2 * second
        return float(rates[np.argmin(expected)])

    assert rate_overshoot("linear", 2, 8, noise) == pytest.approx(8 * best(2) / best(16), rel=1e-4)


@pytest.mark.parametrize(
    ("rule", "numbers", "says"),
    [
        ("token-horizon", (1, 2, 3), "of 'token-horizon' no range is known"),
        ("square", (1, 2, 3), "no recipe rule 'square'"),
        ("linear", (0, 2, 3), "batch_units: 0 is not a positive number"),
        ("linear", (1, -2, 3), "batch_ratio: -2 is not a positive number"),
        ("linear", (1, 2, math.inf), "critical_batch: inf is not a positive number"),
    ],
)
def test_refuses_in_words(rule: str, numbers: tuple[float, float, float], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        rate_overshoot(rule, *numbers)

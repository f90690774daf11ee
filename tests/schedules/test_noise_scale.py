"""The noise scale of gradients whose covariance is known, and how often its range holds it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.noise_scale import NoiseScale, noise_scale

SMALL, LARGE = 8, 64
DEVIATIONS = np.linspace(0.5, 1.5, 30)


def measured(draw: np.random.Generator, mean_norm: float, steps: int) -> tuple[NoiseScale, float]:
    """The estimate at the first micro-batch of eight, and the truth."""
    mean = np.full(30, mean_norm / math.sqrt(30))
    parts = mean + DEVIATIONS * draw.standard_normal((steps, LARGE // SMALL, 30)) / SMALL**0.5
    small, large = np.linalg.norm(parts[:, 0], axis=1), np.linalg.norm(parts.mean(1), axis=1)
    found = noise_scale(list(small), list(large), small_batch=SMALL, large_batch=LARGE)
    return found, float((DEVIATIONS**2).sum() / mean_norm**2)


def test_worked_by_hand() -> None:
    """|G|^2 = (4 * 2 - 1 * 5) / 3 = 1 and tr(S) = (5 - 2) / (1 - 1/4) = 4, at every step."""
    found = noise_scale([5**0.5] * 3, [2**0.5] * 3, small_batch=1, large_batch=4)
    assert found.gradient_squared == pytest.approx(1)
    assert found.trace == pytest.approx(4)
    assert (found.value, found.low, found.high) == pytest.approx((4, 4, 4))


def test_means_are_divided_and_not_ratios_averaged() -> None:
    small, large = [3.0, 1.5], [2.0, 1.4]
    found = noise_scale(small, large, small_batch=2, large_batch=8)
    gradients = [(8 * b**2 - 2 * a**2) / 6 for a, b in zip(small, large, strict=True)]
    traces = [(a**2 - b**2) / (1 / 2 - 1 / 8) for a, b in zip(small, large, strict=True)]
    assert found.value == pytest.approx(sum(traces) / sum(gradients))


def test_many_steps_give_the_truth_without_bias() -> None:
    found, true = measured(np.random.default_rng(0), mean_norm=1.0, steps=20_000)
    assert found.value == pytest.approx(true, rel=0.03)
    assert found.trace == pytest.approx((DEVIATIONS**2).sum(), rel=0.02)
    assert found.gradient_squared == pytest.approx(1, rel=0.03)


def test_nine_ranges_in_ten_hold_the_truth() -> None:
    draw = np.random.default_rng(1)
    trials = [measured(draw, mean_norm=1.0, steps=50) for _ in range(600)]
    inside = sum(found.low <= true <= found.high for found, true in trials) / len(trials)
    assert 0.87 <= inside <= 0.94
    assert all(found.low <= found.value <= found.high for found, _ in trials)
    assert any(math.isfinite(found.high) for found, _ in trials)


def test_where_no_mean_gradient_shows_the_range_has_no_upper_end() -> None:
    draw = np.random.default_rng(2)
    found = [measured(draw, mean_norm=0.05, steps=20)[0] for _ in range(50)]
    assert sum(math.isinf(one.high) for one in found) > 40
    assert all(one.low <= one.value for one in found)
    true = measured(draw, mean_norm=0.05, steps=20)[1]
    assert sum(one.low <= true for one in found) >= 40
    assert any(one.low > 10 for one in found)


def test_no_noise_is_a_scale_of_zero() -> None:
    found = noise_scale([1.0, 1.1], [1.0, 1.1], small_batch=1, large_batch=2)
    assert found.value == 0


@pytest.mark.parametrize(
    ("small", "large", "batches", "says"),
    [
        ([1.0], [1.0], (1, 2), "1 and 1 norms; need both at each of at least two steps"),
        ([1.0, 1.0], [1.0], (1, 2), "2 and 1 norms"),
        ([1.0, -1.0], [1.0, 1.0], (1, 2), "negative or not finite"),
        ([1.0, math.nan], [1.0, 1.0], (1, 2), "negative or not finite"),
        ([1.0, 1.0], [1.0, 1.0], (2, 2), "the batches are 2 and 2; need a smaller and a larger"),
        ([1.0, 1.0], [1.0, 1.0], (0, 2), "the batches are 0 and 2"),
    ],
)
def test_refuses_in_words(
    small: list[float], large: list[float], batches: tuple[float, float], says: str
) -> None:
    with pytest.raises(WindtunnelError, match=says):
        noise_scale(small, large, small_batch=batches[0], large_batch=batches[1])

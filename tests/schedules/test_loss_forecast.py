"""Forecasts of series whose end is known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.loss_forecast import forecast_loss


def series(count: int, height: float, time: float, floor: float, noise: float = 0) -> list[float]:
    draw = random.Random(0)
    return [height * math.exp(-t / time) + floor + draw.gauss(0, noise) for t in range(count)]


@given(st.floats(0.1, 1), st.floats(20, 200), st.floats(0.5, 4))
def test_a_clean_exponential_is_followed(height: float, time: float, floor: float) -> None:
    """Within a few hundredths of its height: the spline is a parabola, the series is not."""
    found = forecast_loss(series(100, height, time, floor), 1000)
    true = floor + height * math.exp(-1000 / time)
    assert found == pytest.approx(true, abs=0.12 * height)


def test_noise_is_averaged() -> None:
    found = forecast_loss(series(100, 1, 60, 2, noise=0.02), 1000)
    assert found == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("validation", [False, True])
def test_early_outliers_are_dropped_and_late_ones_are_not(validation: bool) -> None:
    clean = series(100, 1, 60, 2)
    early = [*clean[:20], 9.0, *clean[21:]]
    late = [*clean[:90], 9.0, *clean[91:]]
    expected = forecast_loss(clean, 1000, validation=validation)
    assert forecast_loss(early, 1000, validation=validation) == pytest.approx(expected, abs=0.02)
    assert abs(forecast_loss(late, 1000, validation=validation) - expected) > 0.05


def test_of_validations_one_is_dropped_and_of_training_losses_thirty() -> None:
    clean = series(100, 1, 60, 2)
    several = [9.0 if at in (10, 20, 30, 40) else loss for at, loss in enumerate(clean)]
    expected = forecast_loss(clean, 1000)
    assert forecast_loss(several, 1000) == pytest.approx(expected, abs=0.05)
    assert abs(forecast_loss(several, 1000, validation=True) - expected) > 0.1


def test_a_flat_series_stays_flat_and_a_rising_one_is_not_foretold_to_fall() -> None:
    assert forecast_loss([2.0] * 50, 500) == pytest.approx(2, abs=1e-6)
    assert forecast_loss([2 + t / 100 for t in range(50)], 500) > 2.4


def test_the_fewest_losses() -> None:
    assert 1.4 < forecast_loss(series(10, 1, 10, 1.5), 100) < 1.6
    assert math.isfinite(forecast_loss(series(6, 1, 10, 1.5), 100))
    with pytest.raises(WindtunnelError, match="5 losses; it needs at least 6"):
        forecast_loss(series(5, 1, 10, 1.5), 100)

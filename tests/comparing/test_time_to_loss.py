from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.comparing.time_to_loss import REACH, end_slopes, log_time_to

TIMES = np.log([1.0, 2.0, 4.0])


def test_a_power_law_is_inverted_exactly_also_a_little_beyond():
    losses = 1 - 0.1 * TIMES
    slopes = end_slopes([TIMES], [losses])
    assert slopes == pytest.approx((-0.1, -0.1))
    for time in (0.8, 1.0, 1.7, 2.0, 3.0, 4.0, 5.5):
        found = log_time_to(1 - 0.1 * math.log(time), TIMES, losses, slopes)
        assert math.exp(found) == pytest.approx(time)


def test_no_farther_than_the_reach():
    losses = 1 - 0.1 * TIMES
    far = 1 - 0.1 * (TIMES[-1] + REACH)
    assert log_time_to(far - 1e-6, TIMES, losses, (-0.1, -0.1)) == math.inf
    assert log_time_to(far + 1e-6, TIMES, losses, (-0.1, -0.1)) < math.inf
    assert log_time_to(1.2, TIMES, losses, (-0.1, -0.1)) == -math.inf
    assert log_time_to(0.8, TIMES, losses, (-0.1, 0.0)) == math.inf  # a flat end reaches nothing


def test_a_longer_run_that_did_worse_is_no_time_to_stop_at():
    losses = np.array([1.0, 0.8, 0.9])
    assert log_time_to(0.85, TIMES, losses, (-0.1, -0.1)) == pytest.approx(0.75 * math.log(2))
    assert log_time_to(0.8, TIMES, losses, (-0.1, -0.1)) == pytest.approx(math.log(2))


@given(
    st.lists(st.floats(-2, 2), min_size=2, max_size=6),
    st.floats(-2, 2),
    st.floats(-2, 2),
)
def test_a_lower_loss_never_takes_less(losses, one, other):
    times = np.log(2.0) * np.arange(len(losses))
    slopes = (-0.5, -0.5)
    lower, higher = sorted((one, other))
    first = log_time_to(lower, times, losses, slopes)
    second = log_time_to(higher, times, losses, slopes)
    assert first >= second - 1e-9

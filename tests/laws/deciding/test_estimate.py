from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.laws.deciding.estimate import Estimate

SIZES = st.floats(1e-3, 1e30)


def test_quantiles_by_hand():
    drawn = np.arange(101.0) + 1e-9
    assert Estimate.of(50.0, drawn).ci90 == pytest.approx((5, 95))
    # Twice as far in the log: 50 (5 / 50)^2 and 50 (95 / 50)^2.
    assert Estimate.of(50.0, drawn, widening=2).ci90 == pytest.approx((0.5, 180.5))
    differences = Estimate.of(50.0, np.arange(101.0), widening=2, positive=False)
    assert differences.ci90 == pytest.approx((-40, 140))


@given(SIZES, st.lists(SIZES, min_size=1, max_size=20), st.floats(1, 3), st.booleans())
def test_the_range_holds_the_number(value, drawn, widening, positive):
    found = Estimate.of(value, np.array(drawn), widening=widening, positive=positive)
    assert found.ci90[0] <= value <= found.ci90[1]


def test_infinity_stays_and_is_null_in_json():
    found = Estimate.of(2.0, np.array([1.0] * 10 + [np.inf] * 10))
    assert found.ci90 == (1.0, math.inf)
    assert found.to_json() == {"value": 2.0, "ci90": [1.0, None]}
    assert Estimate.of(math.inf, np.array([1.0, np.inf])).to_json()["value"] is None


def test_a_falling_function_turns_the_ends():
    assert Estimate(2.0, (1.0, 4.0)).through(lambda x: 8 / x).ci90 == (2.0, 8.0)

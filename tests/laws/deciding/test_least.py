from __future__ import annotations

import numpy as np
import pytest

from windtunnel.laws.deciding.least import least


def test_a_parabola_a_kink_and_an_end():
    centres = np.array([-3.0, 0.123456, 7.0])
    found = least(lambda x: (x - centres[:, None]) ** 2 + 1, np.full(3, -10.0), np.full(3, 10.0))
    assert found == pytest.approx(centres, abs=1e-6)
    kink = least(lambda x: np.abs(x - 0.3), np.array([-10.0]), np.array([10.0]))
    assert kink == pytest.approx(0.3, abs=1e-4)
    assert least(lambda x: x, np.array([-1.0]), np.array([5.0])) == pytest.approx(-1)
    assert least(lambda x: -x, np.array([-1.0]), np.array([5.0])) == pytest.approx(5)


def test_places_of_no_value_are_left_aside():
    found = least(
        lambda x: np.where(x > 2, (x - 1) ** 2, np.nan), np.array([-10.0]), np.array([10.0])
    )
    assert found[0] > 2
    assert found == pytest.approx(2, abs=1e-3)


def test_a_valley_flatter_than_rounding_is_still_found():
    found = least(lambda x: 2 + 1e-9 * (x - 1) ** 2, np.array([-10.0]), np.array([10.0]))
    assert found == pytest.approx(1, abs=0.05)


def test_nothing_but_infinity_is_no_error():
    assert np.isfinite(least(lambda x: x + np.inf, np.array([0.0]), np.array([1.0]))).all()

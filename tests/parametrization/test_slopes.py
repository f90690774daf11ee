from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from windtunnel.parametrization.slopes import fit_slope, fit_slopes


@given(st.floats(-3, 3), st.floats(0.1, 10), st.lists(st.integers(8, 4096), min_size=3, max_size=9))
def test_a_power_law_gives_back_its_exponent(slope: float, factor: float, sizes: list[int]) -> None:
    if len(set(sizes)) < 2:
        sizes = [*sizes, 2 * sizes[0]]
    found, (low, high) = fit_slope(sizes, [factor * size**slope for size in sizes])
    assert found == pytest.approx(slope, abs=1e-6)
    assert low - 1e-9 <= found <= high + 1e-9


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_interval_equals_scipys(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = np.repeat([32, 64, 128], 3)
    values = np.exp(random.normal(size=9))
    found, (low, high) = fit_slope(sizes, values)
    reference = stats.linregress(np.log2(sizes), np.log2(values))
    half = stats.t.ppf(0.95, 7) * reference.stderr
    assert found == pytest.approx(reference.slope)
    assert (low, high) == pytest.approx((reference.slope - half, reference.slope + half))


def test_the_interval_covers_nine_times_in_ten() -> None:
    random = np.random.default_rng(0)
    sizes = np.repeat([32, 64, 128], 3)
    intervals = [fit_slope(sizes, np.exp(random.normal(size=9)))[1] for _ in range(1000)]
    assert sum(low <= 0 <= high for low, high in intervals) == pytest.approx(900, abs=30)


def test_what_some_run_lacks_is_not_fitted() -> None:
    a, b = ("a", "update", 1), ("b", "update", 1)
    runs = {(8, 0): {a: 1.0, b: 1.0}, (16, 0): {a: 2.0}, (32, 0): {a: 4.0, b: 1.0}}
    (slope,) = fit_slopes("width", runs)
    assert (slope.module, slope.axis, slope.step) == ("a", "width", 1)
    assert slope.slope == pytest.approx(1.0)

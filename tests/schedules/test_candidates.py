"""The search's next candidate against an independent Gaussian process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from windtunnel.schedules import candidates
from windtunnel.schedules.candidates import next_candidate

places = st.lists(st.integers(0, 20).map(lambda k: k / 20), min_size=1, max_size=6, unique=True)


@settings(deadline=None, max_examples=40)
@given(places, st.data(), st.sampled_from([0.0, 1.0, 1e6]))
def test_least_lower_bound_of_scikit_learn_s_process(
    tried: list[float], data: st.DataObject, caution: float
) -> None:
    count = len(tried)
    scores = data.draw(st.lists(st.floats(0, 5), min_size=count, max_size=count))
    found = next_candidate(tried, scores, caution)
    x, y = np.array(tried)[:, None], np.array(scores)
    y = (y - y.mean()) / (y.std() or 1.0)
    fits = [
        GaussianProcessRegressor(
            Matern(length, "fixed", nu=2.5), alpha=candidates._NOISE, optimizer=None
        ).fit(x, y)
        for length in candidates._LENGTHS
    ]
    likeliest = max(fits, key=lambda fit: fit.log_marginal_likelihood_value_)
    grid = candidates._GRID[:, None]
    mean, deviation = likeliest.predict(grid, return_std=True)
    bound = mean - caution * deviation
    at = int(np.argmin(np.abs(candidates._GRID - found)))
    assert bound[at] == pytest.approx(bound.min(), rel=1e-5, abs=1e-5)


def test_great_caution_spreads_and_none_goes_to_the_best() -> None:
    tried = [0.3]
    for _ in range(4):
        tried.append(next_candidate(tried, [0.0] * len(tried), 1e6))
    gaps = np.diff(sorted(tried))
    assert {0.0, 1.0} <= set(tried)
    assert gaps.max() < 0.5
    assert next_candidate([0.0, 0.5, 1.0], [1.0, 0.0, 1.0], 0.0) == pytest.approx(0.5, abs=0.05)

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.laws.deciding.tokens_for import tokens_for

E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658


def metric(params, tokens):
    return E + A / params**ALPHA + B / tokens**BETA


def test_the_inverse_of_the_law():
    params = np.array([[4e8, 1e9], [7e9, 1e12]])
    found = tokens_for(metric, params, 2.5)
    assert found == pytest.approx((B / (2.5 - E - A / params**ALPHA)) ** (1 / BETA), rel=1e-9)


def test_a_loss_below_the_models_floor_takes_infinitely_many():
    assert tokens_for(metric, np.array([1e7]), 2.0)[0] == np.inf

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.allocation import allocate
from windtunnel.laws.deciding.inference import best_within, cheapest_to_serve

E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658


@pytest.mark.parametrize("served", [1e11, 1e13])
@pytest.mark.parametrize("cost", [1.0, 2.0])
def test_the_first_order_condition_at_the_same_loss(besiroglu, served, cost):
    best = allocate(besiroglu, 1e22)
    found = cheapest_to_serve(besiroglu, 1e22, served, serving_cost=cost)
    n, d = found.params.value, found.tokens.value
    assert E + A / n**ALPHA + B / d**BETA == pytest.approx(best.loss, rel=1e-9)
    # Lagrange: (6 D + 2 S) / (6 N) = (alpha A / N^(alpha + 1)) / (beta B / D^(beta + 1)).
    left = (6 * d + 2 * cost * served) / (6 * n)
    right = (ALPHA * A / n ** (ALPHA + 1)) / (BETA * B / d ** (BETA + 1))
    assert left == pytest.approx(right, rel=1e-3)
    assert found.training_flops.value == pytest.approx(6 * n * d)
    assert found.total_flops.value == pytest.approx(6 * n * d + 2 * cost * served * n)
    whole = 1e22 + 2 * cost * served * best.params.value
    assert found.saving.value == pytest.approx(1 - found.total_flops.value / whole, rel=1e-9)


def test_nothing_served_is_compute_optimal(besiroglu):
    best = allocate(besiroglu, 1e22)
    for found in (
        cheapest_to_serve(besiroglu, 1e22, 1.0),
        best_within(besiroglu, 1e22, 1.0),
    ):
        assert found.params.value == pytest.approx(best.params.value, rel=1e-4)
        assert found.tokens.value == pytest.approx(best.tokens.value, rel=1e-4)


def test_the_more_is_served_the_smaller_the_model(noisy):
    found = [cheapest_to_serve(noisy, 1e22, served) for served in (1e10, 1e12, 1e14)]
    assert np.all(np.diff([one.params.value for one in found]) < 0)
    assert np.all(np.diff([one.tokens.value for one in found]) > 0)
    assert np.all(np.diff([one.saving.value for one in found]) > 0)
    for one in found:
        assert one.params.ci90[0] <= one.params.value <= one.params.ci90[1]
        assert one.saving.value >= 0


def test_the_best_for_a_total_is_the_cheapest_for_its_loss(besiroglu):
    found = best_within(besiroglu, 1e22, 1e12)
    n, d = found.params.value, found.tokens.value
    assert 6 * n * d + 2 * n * 1e12 == pytest.approx(1e22)
    assert found.loss == pytest.approx(E + A / n**ALPHA + B / d**BETA)
    left = (6 * d + 2e12) / (6 * n)
    right = (ALPHA * A / n ** (ALPHA + 1)) / (BETA * B / d ** (BETA + 1))
    assert left == pytest.approx(right, rel=1e-3)
    assert found.saving is None


def test_what_is_no_amount_is_refused(besiroglu):
    with pytest.raises(WindtunnelError, match="served tokens -1"):
        cheapest_to_serve(besiroglu, 1e22, -1)
    with pytest.raises(WindtunnelError, match="FLOPs 0"):
        best_within(besiroglu, 0, 1e12)

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.allocation import allocate
from windtunnel.laws.deciding.iso_loss import iso_loss, overtraining_price

E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658


def test_every_point_of_the_curve_has_the_loss(besiroglu):
    found = iso_loss(besiroglu, 2.2)
    reach = np.isfinite(found.tokens)
    losses = E + A / found.params[reach] ** ALPHA + B / found.tokens[reach] ** BETA
    assert losses == pytest.approx(2.2, rel=1e-10)
    assert not reach[0]  # a hundredth of the cheapest size never gets there
    assert np.all(found.flops >= found.cheapest_flops.value * (1 - 1e-9))


def test_least_compute_for_a_loss_undoes_the_best_loss_for_a_budget(besiroglu):
    best = allocate(besiroglu, 3e22)
    found = iso_loss(besiroglu, best.loss)
    assert found.cheapest_flops.value == pytest.approx(3e22, rel=1e-6)
    assert found.cheapest_params.value == pytest.approx(best.params.value, rel=1e-4)
    assert found.cheapest_tokens.value == pytest.approx(best.tokens.value, rel=1e-4)


def test_a_loss_below_the_irreducible_is_refused(besiroglu):
    with pytest.raises(WindtunnelError, match="no number of tokens reaches"):
        iso_loss(besiroglu, 1.8)


def test_ranges_hold_the_middle(noisy):
    found = iso_loss(noisy, 2.2)
    for one in (found.cheapest_params, found.cheapest_tokens, found.cheapest_flops):
        assert one.ci90[0] < one.value < one.ci90[1]
    assert found.to_json()["cheapest"]["flops"]["ci90"] == list(found.cheapest_flops.ci90)


@pytest.mark.parametrize("times", [0.5, 1.5, 2.0, 4.0])
def test_the_price_of_over_training(besiroglu, times):
    best = allocate(besiroglu, 1e23)
    params, tokens = best.params.value, best.tokens.value
    left = B / tokens**BETA + A / params**ALPHA * (1 - times**ALPHA)
    expected = (B / left) ** (1 / BETA) / times / tokens
    assert overtraining_price(besiroglu, 1e23, times).value == pytest.approx(expected, rel=1e-5)


def test_the_price_grows_and_then_nothing_helps(besiroglu):
    prices = [overtraining_price(besiroglu, 1e23, k).value for k in (1.0, 1.5, 2.0, 3.0, 20.0)]
    assert prices[0] == pytest.approx(1)
    assert np.all(np.diff(prices[:4]) > 0)
    assert prices[4] == np.inf


def test_the_price_has_a_range(noisy):
    found = overtraining_price(noisy, 1e23, 3.0)
    assert 1 < found.ci90[0] < found.value < found.ci90[1]
    with pytest.raises(WindtunnelError, match="factor -1"):
        overtraining_price(noisy, 1e23, -1)

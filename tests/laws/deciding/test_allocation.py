from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.allocation import allocate

E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
G = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))


@pytest.mark.parametrize("flops", [1e18, 5.76e23, 1e27])
def test_the_closed_form_of_chinchilla(besiroglu, flops):
    found = allocate(besiroglu, flops)
    params = G * (flops / 6) ** (BETA / (ALPHA + BETA))
    tokens = (flops / 6) ** (ALPHA / (ALPHA + BETA)) / G
    assert found.params.value == pytest.approx(params, rel=2e-6)
    assert found.tokens.value == pytest.approx(tokens, rel=2e-6)
    assert found.loss == pytest.approx(E + A / params**ALPHA + B / tokens**BETA, rel=1e-12)
    assert found.regret == pytest.approx(0, abs=1e-9)


def test_chinchillas_budget_gives_about_twenty_tokens_a_parameter(besiroglu):
    # Besiroglu et al. 2024, section 4: 20 tokens a parameter at 5.76e23, not the 70 of Hoffmann's
    # published parameters.
    assert 18 < allocate(besiroglu, 5.76e23).tokens_per_param.value < 28


def test_a_function_of_flops_per_token_moves_the_optimum(besiroglu):
    dear = allocate(besiroglu, 1e21, flops_per_token=lambda params: 12 * params)
    assert dear.params.value == pytest.approx(allocate(besiroglu, 5e20).params.value, rel=1e-5)
    # FLOPs that do not depend on the size favour the largest model, and there is no valley.
    free = allocate(besiroglu, 1e21, flops_per_token=lambda params: 1e9 + 0 * params)
    assert free.verdict == "cannot say"


def test_the_valley_is_flat(besiroglu):
    found = allocate(besiroglu, 1e22)
    for share, (low, high) in found.valley.items():
        best = found.params.value
        assert low < best < high
        for size in (low * 1.01, high * 0.99):
            tokens = 1e22 / 6 / size
            loss = E + A / size**ALPHA + B / tokens**BETA
            assert loss < found.loss * (1 + share)
        for size in (low * 0.98, high * 1.02):
            tokens = 1e22 / 6 / size
            assert E + A / size**ALPHA + B / tokens**BETA > found.loss * (1 + share)
    assert found.valley[0.005][1] > found.valley[0.001][1]


def test_ranges_hold_the_middle_and_grow_with_the_noise(make_law):
    quiet, loud = (allocate(make_law(noise=noise), 1e23) for noise in (0.001, 0.01))
    for found in (quiet, loud):
        low, high = found.params.ci90
        assert low < found.params.value < high
        low, high = found.tokens_per_param.ci90
        assert low < found.tokens_per_param.value < high
    assert np.log(np.divide(*loud.params.ci90)) < np.log(np.divide(*quiet.params.ci90))
    assert loud.regret > 5 * quiet.regret


def test_the_range_covers_the_truth_about_nine_times_in_ten(make_law):
    params = G * (1e23 / 6) ** (BETA / (ALPHA + BETA))
    inside = 0
    for seed in range(20):
        low, high = allocate(make_law(seed=seed, draws=40), 1e23).params.ci90
        inside += low < params < high
    assert inside >= 14


def test_params_and_tokens_grow_with_the_budget(noisy):
    found = [allocate(noisy, flops) for flops in np.geomspace(1e19, 1e24, 6)]
    for name in ("params", "tokens"):
        assert np.all(np.diff([getattr(one, name).value for one in found]) > 0)
    assert np.all(np.diff([one.loss for one in found]) < 0)


def test_a_cap_on_tokens_is_kept(besiroglu):
    found = allocate(besiroglu, 1e23, most_tokens=1e11)
    assert found.tokens.value <= 1e11 * (1 + 1e-9)
    assert found.tokens.value == pytest.approx(1e11, rel=1e-3)
    assert found.loss > allocate(besiroglu, 1e23).loss


def test_a_split_outside_the_ratios_varied_is_said(make_exact_law):
    law = make_exact_law()
    narrow = type(law)(
        law.fitted,
        law.draws,
        law.metric,
        {"params": np.array([1e8, 2e8]), "tokens": np.array([1e10, 4e10])},
        law.observed[:2],
        law.spread,
        {},
    )
    found = allocate(narrow, 1e21)
    assert found.verdict == "wide"
    assert "tokens a parameter and the runs had 100 to 200" in found.reasons[0]


def test_what_cannot_be_asked_is_refused(besiroglu):
    with pytest.raises(WindtunnelError, match="not a positive number"):
        allocate(besiroglu, float("nan"))
    with pytest.raises(WindtunnelError, match=r"less than 0\.01 tokens a parameter"):
        allocate(besiroglu, 1e22, most_tokens=4e6)


def test_the_real_points(chinchilla_points):
    found = allocate(chinchilla_points, 5.76e23)
    # 20 tokens a parameter lies within the range, as Besiroglu et al. 2024 find.
    assert found.tokens_per_param.ci90[0] < 20 < found.tokens_per_param.ci90[1]
    assert found.regret < 0.01

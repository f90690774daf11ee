from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws import vocabulary


@pytest.mark.parametrize(
    ("params", "width", "by_isoflop", "by_derivative", "by_fit"),
    # Computed with the authors' code for 7e9 and 70e9 non-vocabulary parameters.
    [(7e9, 4096, 62280, 67450, 59547), (70e9, 8192, 211860, 230861, 217961)],
)
def test_three_approaches(params, width, by_isoflop, by_derivative, by_fit) -> None:
    flops = vocabulary.isoflop_flops(params)
    assert vocabulary.isoflop(flops) / width == pytest.approx(by_isoflop, rel=5e-4)
    assert vocabulary.derivative(params) / width == pytest.approx(by_derivative, rel=5e-4)
    assert vocabulary.parametric(params) / width == pytest.approx(by_fit, rel=1e-5)


def test_the_fit_s_optimum_is_the_least_loss_of_the_form() -> None:
    p, params, flops = vocabulary.PUBLISHED, 1e9, 1e21
    best = vocabulary.parametric(params, flops)
    tried = best * np.geomspace(0.5, 2.0, 2001)
    tokens = flops / (6 * (params + tried))
    loss = p["A2"] / tried ** p["alpha_v"] + p["B"] / tokens ** p["alpha"]
    assert tried[loss.argmin()] == pytest.approx(best, rel=1e-3)


def test_the_cheapest_vocabulary_is_the_least_of_a_grid() -> None:
    found = vocabulary.least_flops(33e6, 512)
    tried = np.geomspace(1e3, 1e5, 4001)
    flops = [(33e6 + v * 512) * vocabulary.tokens_per_character(v) for v in tried]
    assert found == pytest.approx(tried[np.argmin(flops)], rel=2e-3)


def test_beyond_two_hundred_thousand_words_a_text_gets_no_shorter() -> None:
    assert vocabulary.tokens_per_character(1e6) == vocabulary.tokens_per_character(2e5)
    # About four characters a token at 32 thousand words.
    assert 1 / vocabulary.tokens_per_character(32000) == pytest.approx(3.9, abs=0.3)


def test_a_law_without_an_optimum_is_refused() -> None:
    flat = {**vocabulary.PUBLISHED, "A2": 1e-300}
    with pytest.raises(WindtunnelError, match="no vocabulary is best"):
        vocabulary.parametric(1e9, 1e21, flat)

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from windtunnel.parametrization.draws import Draw, recognise
from windtunnel.parametrization.loaded import not_drawn_alike
from windtunnel.parametrization.strays import strays


def drawn(seed: int, *shape: int, stray: bool = False) -> torch.Tensor:
    """As timm draws a matrix, with the value of 2 that one in 2^24 becomes."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.02
    if stray:
        weight.flatten()[0] = 2.0
    return weight


@pytest.mark.parametrize("fill", [nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_])
def test_no_value_of_a_known_law_is_stray(fill) -> None:
    assert not strays(fill(torch.empty(1000, 1000)).double().numpy()).any()


def test_a_few_are_stray_and_many_are_a_tail() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[3] = -90.0
    assert strays(values).nonzero()[0].tolist() == [3]
    values[:20] = 90.0
    assert not strays(values).any()
    assert not strays(np.zeros(5)).any()


def test_a_law_is_recognised_beside_a_stray_value() -> None:
    draw = recognise([drawn(seed, 64, 64, stray=seed == 1) for seed in range(3)])
    assert isinstance(draw, Draw) and draw.law == "normal"
    assert draw.value == pytest.approx(0.02, rel=0.03)


def test_a_stray_value_is_no_sign_of_training_and_stays_where_it_is() -> None:
    bases = [drawn(seed, 64, 64) for seed in range(3)]
    for shape in ((128, 512), (64, 64)):
        fresh = drawn(9, *shape, stray=True)
        kept = fresh.clone()
        assert not_drawn_alike(fresh, bases) is None
        assert torch.equal(fresh, kept)
    assert not_drawn_alike(drawn(9, 64, 64), [*bases, drawn(5, 64, 64, stray=True)]) is None
    trained = drawn(9, 128, 512, stray=True)
    trained += 0.005 * torch.outer(torch.ones(128), torch.sign(drawn(3, 512)))
    assert "direction" in (not_drawn_alike(trained, bases) or "")

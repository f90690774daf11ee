from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from windtunnel.parametrization.draws import Draw, recognise, seed_of


def draws(fill, *shape: int) -> list[Tensor]:
    tensors = []
    for seed in range(4):
        torch.manual_seed(seed)
        tensor = torch.empty(shape)
        filled = fill(tensor)
        tensors.append(tensor if filled is None else filled)
    return tensors


@pytest.mark.parametrize(
    ("fill", "law", "std"),
    [
        (lambda t: t.normal_(0, 0.02), "normal", 0.02),
        (lambda t: t.uniform_(-0.3, 0.3), "uniform", 0.3 / math.sqrt(3)),
        (lambda t: nn.init.kaiming_uniform_(t, a=math.sqrt(5)), "uniform", 1 / math.sqrt(3 * 64)),
        (lambda t: nn.init.trunc_normal_(t, std=0.5, a=-1.0, b=1.0), "truncated normal", 0.4398),
        (lambda t: nn.init.trunc_normal_(t, std=0.02), "normal", 0.02),
    ],
)
def test_known_draws_are_recognised_and_drawn_alike(fill, law: str, std: float) -> None:
    found = recognise(draws(fill, 64, 64))
    assert isinstance(found, Draw)
    assert found.law == law
    assert found.value == pytest.approx(std, rel=0.03)
    again = found.sample((128, 64), 0.5, 0, "x")
    assert float(again.std()) == pytest.approx(std / 2, rel=0.03)
    assert recognise([found.sample((64, 64), 1.0, seed, "x") for seed in range(4)]).law == law


def test_constants_stay_constant_and_zeros_zero() -> None:
    assert recognise(draws(nn.init.zeros_, 4, 4)) == Draw("constant", 0.0)
    assert recognise(draws(nn.init.ones_, 4)) == Draw("constant", 1.0)
    assert Draw("constant", 1.0).sample((3,), 0.25, 0, "x").tolist() == [0.25] * 3


@pytest.mark.parametrize(
    ("fill", "why"),
    [
        (nn.init.orthogonal_, "orthogonal"),
        (nn.init.eye_, "computed and not drawn"),
        (nn.init.ones_, "every entry is 1"),
        (lambda t: t.normal_(1.0, 0.1), "about"),
        (lambda t: t.exponential_().mul_(torch.randint(2, t.shape) * 2 - 1), "not uniform"),
        (lambda t: torch.cat((t[:16].zero_(), t[16:].normal_())), "not uniform"),
        (lambda t: t.copy_(torch.arange(t.numel()).view(t.shape)), "computed and not drawn"),
    ],
)
def test_what_cannot_be_scaled_says_why(fill, why: str) -> None:
    found = recognise(draws(fill, 32, 32))
    assert isinstance(found, str) and why in found


def test_orthogonal_is_seen_in_either_orientation_and_in_convolutions() -> None:
    for shape in ((16, 64), (64, 16), (8, 4, 3, 3)):
        assert "orthogonal" in str(recognise(draws(nn.init.orthogonal_, *shape)))


def test_a_draw_depends_on_seed_and_name_alone() -> None:
    draw = Draw("normal", 1.0)
    first = draw.sample((4, 4), 1.0, 0, "a")
    torch.manual_seed(99)
    assert torch.equal(first, draw.sample((4, 4), 1.0, 0, "a"))
    assert not torch.equal(first, draw.sample((4, 4), 1.0, 0, "b"))
    assert not torch.equal(first, draw.sample((4, 4), 1.0, 1, "a"))
    assert seed_of(1, "2") != seed_of(12, "")

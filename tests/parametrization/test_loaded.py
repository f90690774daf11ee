from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from windtunnel.parametrization.loaded import not_drawn_alike

LAWS = {
    "normal": lambda t: t.normal_(0, 1),
    "uniform": lambda t: t.uniform_(-1, 1),
    "cut at 2": lambda t: nn.init.trunc_normal_(t, a=-2, b=2),
    "cut at 3": lambda t: nn.init.trunc_normal_(t, a=-3, b=3),
    "two-sided exponential": lambda t: t.exponential_().mul_(torch.randint(2, t.shape) * 2 - 1),
}


def drawn(law: str, shape: tuple[int, ...], seed: int, spread: float = 1.0) -> Tensor:
    torch.manual_seed(seed)
    tensor = torch.empty(shape)
    LAWS[law](tensor)
    return tensor * spread


def builds(law: str, shape: tuple[int, ...]) -> list[Tensor]:
    return [drawn(law, shape, seed) for seed in range(4)]


sizes = st.sampled_from([1, 2, 3, 8, 31, 64, 200])


@settings(max_examples=150, deadline=None)
@given(
    law=st.sampled_from(sorted(LAWS)),
    base=st.lists(sizes, min_size=1, max_size=3),
    data=st.data(),
    spread=st.floats(1e-4, 1e2),
    seed=st.integers(10, 10**6),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
)
def test_a_fresh_draw_at_any_size_raises_no_alarm(law, base, data, spread, seed, dtype) -> None:
    target = data.draw(st.lists(sizes, min_size=len(base), max_size=len(base)))
    if math.prod(target) > 10**6:
        target = target[:2]
    fresh = drawn(law, tuple(target), seed, spread).to(dtype)
    assert not_drawn_alike(fresh, builds(law, tuple(base))) is None


@pytest.mark.parametrize("law", sorted(LAWS))
def test_large_fresh_draws_raise_no_alarm(law: str) -> None:
    for seed in range(5):
        assert not_drawn_alike(drawn(law, (700, 600), 100 + seed), builds(law, (64, 64))) is None


def test_constants_may_depend_on_size_but_must_stay_constant() -> None:
    ones, zeros = [torch.ones(8)] * 4, [torch.zeros(8)] * 4
    assert not_drawn_alike(torch.full((32,), 0.25), ones) is None
    assert not_drawn_alike(torch.zeros(32), zeros) is None
    assert not_drawn_alike(torch.zeros(32), ones) == "a fresh model has 1 and not 0"
    assert not_drawn_alike(torch.ones(32), zeros) == "a fresh model has 0 and not 1"
    assert not_drawn_alike(torch.arange(32.0), zeros) == "a fresh model has 0 everywhere"


def test_another_law_is_seen() -> None:
    found = not_drawn_alike(drawn("normal", (128, 64), 9), builds("uniform", (64, 64)))
    assert found == "the values are distributed otherwise"


def test_a_direction_is_seen_whatever_the_law() -> None:
    """What a few optimizer steps of rank one add to a matrix, small beside its entries."""
    for law in LAWS:
        matrix = drawn(law, (256, 256), 5)
        signs = torch.randn(2, 256).sign()
        matrix += 0.25 * matrix.std() * torch.outer(*signs)
        assert "direction" in str(not_drawn_alike(matrix, builds(law, (64, 64))))


def test_what_to_empty_leaves_is_not_a_draw() -> None:
    normal = builds("normal", (8, 8))
    assert not_drawn_alike(torch.zeros(16, 16), normal) == "all values are zero"
    assert not_drawn_alike(torch.full((16,), math.nan), normal) == "some values are not finite"


def test_an_empty_shard_says_nothing() -> None:
    assert not_drawn_alike(torch.empty(0, 4), builds("normal", (8, 8))) is None

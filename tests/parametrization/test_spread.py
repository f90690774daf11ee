from __future__ import annotations

import pytest
import torch
from torch import nn

from windtunnel.models.function import FunctionFamily
from windtunnel.parametrization.plan import plan
from windtunnel.parametrization.spread import initial_spread
from windtunnel.scale import Scale


def build(width: int, depth: int) -> nn.Module:
    model = nn.Sequential(
        nn.Embedding(512, width), *(nn.Linear(width, width) for _ in range(depth))
    )
    for module in list(model)[1:]:
        nn.init.normal_(module.weight, std=width**-0.5)
        nn.init.zeros_(module.bias)
    return model


FAMILY = FunctionFamily(build)


def test_it_is_what_base_draws_whatever_the_target_is() -> None:
    planned = plan(FAMILY, Scale(64, 2), Scale(256, 4), "mup")
    spread = initial_spread(FAMILY, planned)
    assert set(spread) == {entry.name for entry in planned}
    assert spread["0.weight"] == pytest.approx(1, rel=0.02)
    hidden = [spread[f"{block}.weight"] for block in (1, 2, 3, 4)]
    assert hidden == pytest.approx([1 / 8] * 4, rel=0.05)
    assert len(set(hidden)) == 1  # blocks that are alike are taken together
    assert [spread[f"{block}.bias"] for block in (1, 2, 3, 4)] == [0] * 4


def test_the_global_random_state_is_left_alone() -> None:
    planned = plan(FAMILY, Scale(64, 2), Scale(128, 2), "mup")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    initial_spread(FAMILY, planned)
    assert torch.rand(1) == expected


def test_a_gain_has_no_spread() -> None:
    family = FunctionFamily(
        lambda width, depth: nn.Sequential(nn.Embedding(8, width), nn.RMSNorm(width))
    )
    spread = initial_spread(family, plan(family, Scale(8, 1), Scale(16, 1), "sp"))
    assert spread["1.weight"] == 0

from __future__ import annotations

import pytest
import torch

from windtunnel.errors import WindtunnelError
from windtunnel.models import Family
from windtunnel.models.family import Declarations
from windtunnel.scale import Scale
from windtunnel.training.recompute import blocks_of, recompute_blocks_


def test_gradients_are_the_same_bit_for_bit(family: Family) -> None:
    tokens = torch.arange(64).view(4, 16) % 32
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = family.build(Scale(16, 3))
        if recompute:
            recompute_blocks_(model, family.declarations)
        torch.nn.init.ones_(model.get_parameter("head.weight"))
        family.loss(model, (tokens, tokens)).backward()  # type: ignore[no-untyped-call]
        found.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        assert gradient is not None
        assert torch.equal(gradient, found[1][name]), name


def test_blocks_are_the_declared_modules_alone(family: Family) -> None:
    model = family.build(Scale(16, 3))
    assert blocks_of(model, family.declarations) == [
        model.get_submodule(f"blocks.{k}") for k in range(3)
    ]
    assert blocks_of(model, Declarations()) == []


def test_without_blocks_nothing_can_be_recomputed(family: Family) -> None:
    with pytest.raises(WindtunnelError, match="declares no blocks"):
        recompute_blocks_(family.build(Scale(16, 1)), Declarations())

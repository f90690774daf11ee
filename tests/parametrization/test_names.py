from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

from windtunnel.parametrization.names import (
    canonical_names,
    matches,
    named_parameters,
    without_indices,
)


def make() -> nn.Module:
    return nn.ModuleDict(
        {"embedding": nn.Embedding(5, 4), "blocks": nn.ModuleList([nn.Linear(4, 4)])}
    )


def names(model: nn.Module) -> list[str]:
    return [named.names[0] for named in named_parameters(model)]


class Lightning(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = make()


@pytest.mark.parametrize(
    "wrap",
    [
        copy.deepcopy,
        AveragedModel,
        lambda m: nn.ModuleDict({"module": m}),  # as DistributedDataParallel names it
        lambda m: nn.ModuleDict({"model": nn.ModuleDict({"module": m})}),
        lambda m: torch.compile(m),
        checkpoint_wrapper,
        lambda m: checkpoint_wrapper(torch.compile(m)),
    ],
)
def test_wrappers_do_not_change_names(wrap) -> None:
    assert names(wrap(make())) == names(make())


def test_wrapped_inside_and_lightning() -> None:
    model = make()
    model.blocks[0] = checkpoint_wrapper(torch.compile(model.blocks[0]))
    assert names(model) == names(make())
    assert names(Lightning()) == names(make())


def test_model_is_stripped_only_where_every_name_has_it() -> None:
    assert canonical_names(["model.a", "head.b"]) == ["model.a", "head.b"]
    assert canonical_names(["module.model.a", "module.model.b"]) == ["a", "b"]
    assert canonical_names(["a._orig_mod.b", "my_orig_mod.c"]) == ["a.b", "my_orig_mod.c"]
    assert canonical_names([]) == []


def test_tied_parameters_keep_all_names() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 4), "head": nn.Linear(4, 5, bias=False)})
    model.head.weight = model.embedding.weight
    (found,) = named_parameters(model)
    assert found.names == ("embedding.weight", "head.weight")


def test_patterns_match_whole_parts() -> None:
    assert matches("blocks.*", "blocks.11.mlp.weight")
    assert matches("blocks.*", "blocks.1")
    assert not matches("blocks.*", "blocks.x.weight")
    assert not matches("blocks.1", "blocks.11.weight")
    assert without_indices("blocks.11.mlp2.0.weight") == "blocks.*.mlp2.*.weight"


def test_a_part_s_own_prefix_is_not_a_wrapper_s() -> None:
    stage = ["model.layers.3.up.weight", "model.norm.weight"]
    assert canonical_names(stage, known={"model.norm.weight"}) == stage
    assert canonical_names(stage) == ["layers.3.up.weight", "norm.weight"]
    wrapped = [f"module.{name}" for name in stage]
    assert canonical_names(wrapped, known={"model.norm.weight"}) == stage

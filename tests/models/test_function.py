from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from windtunnel.models.family import Declarations, Family, ParameterCount
from windtunnel.models.function import FunctionFamily
from windtunnel.scale import Scale


def build(width: int, depth: int) -> nn.Module:
    inner = [nn.Linear(width, width) for _ in range(depth)]
    return nn.Sequential(nn.Linear(3, width), *inner, nn.Linear(width, 2))


def step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    inputs, targets = batch
    return nn.functional.mse_loss(model(inputs), targets)


def test_it_is_a_family_that_calls_the_users_functions() -> None:
    family: Family = FunctionFamily(build, step)
    model = family.build(Scale(width=5, depth=2))
    assert [p.shape for p in model.parameters()][::2] == [(5, 3), (5, 5), (5, 5), (2, 5)]
    batch = (torch.ones(4, 3), torch.zeros(4, 2))
    loss = family.loss(model, batch)
    assert torch.equal(loss, step(model, batch))
    assert torch.equal(family.sequence_losses(model, batch), loss.reshape(1))


def test_sizes_are_counted_without_storage() -> None:
    devices = []

    def build_tied(width: int, depth: int) -> nn.Module:
        model = build(width, depth)
        assert isinstance(model, nn.Sequential)
        model.append(nn.Linear(width, 2, bias=False))
        model[-1].weight = model[-2].weight
        devices.append(model[0].weight.device.type)
        return model

    family = FunctionFamily(build_tied, step)
    scale = Scale(width=5, depth=2)
    # 3 to 5, two times 5 to 5, 5 to 2, all with biases; the tied weight counts once.
    assert family.parameter_count(scale) == ParameterCount(total=20 + 60 + 12, embedding=0)
    assert family.flops_per_unit(scale, 1) == 6 * 92
    assert set(devices) == {"meta"}


def test_options_name_the_functions() -> None:
    class Step:
        def __call__(self, model: nn.Module, batch: object) -> Tensor:
            raise NotImplementedError

    options = FunctionFamily(build, Step()).options()
    assert str(options["build"]).endswith("test_function.build")
    assert str(options["step"]).endswith("<locals>.Step")


def test_declarations_are_passed_on_and_a_missing_step_is_told() -> None:
    declarations = Declarations(branch_outputs=("blocks.*.out",), blocks="blocks.*")
    family = FunctionFamily(build, declarations=declarations)
    assert family.declarations == declarations
    assert family.options()["step"] is None
    with pytest.raises(TypeError, match="step"):
        family.loss(nn.Linear(1, 1), None)

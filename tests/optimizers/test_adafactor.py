from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from windtunnel.optimizers import method_of, optimizer_method
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=0.01, batch_units=1)


def stepped(
    weight: np.ndarray, gradients: np.ndarray, *, lr: float, weight_decay: float = 0.0
) -> np.ndarray:
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    group = {"params": [parameter], "lr": lr, "weight_decay": weight_decay, "eps": 1e-8}
    optimizer = optimizer_method("adafactor").build([group], RECIPE)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("shape", [(4, 3), (5,), (2, 3, 4)])
@pytest.mark.parametrize("lr", [0.01, 0.9])  # the second meets the limit, 1/sqrt(step)
def test_steps_equal_torchs(shape: tuple[int, ...], lr: float) -> None:
    random = np.random.default_rng(1)
    weight, gradients = random.normal(size=shape), random.normal(size=(20, *shape))
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    torchs = torch.optim.Adafactor([parameter], lr=lr, weight_decay=0.3, eps=(1e-16, 1e-3))
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        torchs.step()
    found = stepped(weight, gradients, lr=lr, weight_decay=0.3)
    assert np.allclose(found, parameter.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_decay_is_coupled_with_the_rate() -> None:
    weight, gradients = np.ones((2, 2)), np.zeros((1, 2, 2))
    moved = stepped(weight, gradients, lr=0.01, weight_decay=0.5)
    assert np.allclose(moved, 1 - 0.01 * 0.5, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1e3])
def test_gradients_of_any_size_give_the_same_step(size: float) -> None:
    random = np.random.default_rng(2)
    weight, gradients = random.normal(size=(4, 3)), random.normal(size=(2, 4, 3))
    expected = stepped(weight, gradients, lr=0.01)
    assert np.allclose(stepped(weight, size * gradients, lr=0.01), expected, rtol=1e-9)


def test_a_gradient_of_zero_moves_nothing_in_float32_whatever_the_epsilon() -> None:
    for eps in (1e-8, 1e-15, 1e-30):
        parameter = nn.Parameter(torch.ones(3, 2))
        group = {"params": [parameter], "lr": 0.1, "weight_decay": 0.0, "eps": eps}
        optimizer = optimizer_method("adafactor").build([group], RECIPE)
        parameter.grad = torch.zeros(3, 2)
        optimizer.step()
        assert torch.equal(parameter.detach(), torch.ones(3, 2))


def test_a_plans_factor_is_for_the_least_size_and_one_changes_nothing() -> None:
    def built(name_or_class: str | type, factor: float) -> dict:
        group = {"params": [nn.Parameter(torch.zeros(3, 2))], "lr": 0.1, "eps": 1e-8 * factor}
        (found,) = method_of(name_or_class).build([group], RECIPE).param_groups
        return found

    for factor in (1.0, 0.25):
        own = built("adafactor", factor)
        assert (own["floor"], own["least_size"]) == pytest.approx((1e-16, 1e-3 * factor))
        assert built(torch.optim.Adafactor, factor)["eps"] == pytest.approx((1e-16, 1e-3 * factor))

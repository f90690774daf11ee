from __future__ import annotations

import numpy as np
import torch
from torch import nn

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.adam_atan2 import SCALE
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=99.0, batch_units=1, weight_decay=99.0, beta1=0.8, beta2=0.9)


def stepped(weight: np.ndarray, gradients: np.ndarray, **settings: float) -> np.ndarray:
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    optimizer = optimizer_method("adam-atan2").build(
        [{"params": [parameter], "eps": 99.0, **settings}], RECIPE
    )
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


def test_the_first_step_is_about_the_rate_whatever_the_gradient() -> None:
    gradients = np.array([[1e-12, -1.0, 1e12]])
    moved = stepped(np.zeros(3), gradients, lr=0.01, weight_decay=0.0)
    assert np.allclose(moved, 0.01 * SCALE * np.pi / 4 * np.array([-1, 1, -1]), rtol=1e-12)
    assert np.allclose(np.abs(moved), 0.01, rtol=0.003)


def test_gradients_of_any_size_give_the_same_steps() -> None:
    random = np.random.default_rng(1)
    gradients = random.normal(size=(5, 6))
    settings = {"lr": 0.1, "weight_decay": 0.0}
    expected = stepped(np.zeros(6), gradients, **settings)
    for size in (1e-9, 1e9):
        found = stepped(np.zeros(6), size * gradients, **settings)
        assert np.allclose(found, expected, rtol=1e-12)


def test_the_recipe_sets_both_betas() -> None:
    method = optimizer_method("adam-atan2")
    assert method.rule is not None
    random = np.random.default_rng(2)
    weight, gradients = random.normal(size=4), random.normal(size=(5, 4))
    settings = {"lr": 0.1, "weight_decay": 0.3}
    expected = method.rule.reference(weight, gradients, beta1=0.8, beta2=0.9, **settings)
    assert np.allclose(stepped(weight, gradients, **settings), expected, rtol=1e-12)


def test_a_gradient_of_zero_moves_nothing() -> None:
    assert np.array_equal(stepped(np.ones(3), np.zeros((2, 3)), lr=1.0, weight_decay=0.0), [1] * 3)

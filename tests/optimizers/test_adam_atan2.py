from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.adam_atan2 import SCALE, adam_atan2_
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=99.0, batch_units=1, weight_decay=99.0, beta1=0.8, beta2=0.9)


def reference(
    weight: np.ndarray, gradients: np.ndarray, *, lr: float, weight_decay: float
) -> np.ndarray:
    """Adam with `m / sqrt(v)` written as an angle, entry by entry in float64."""
    weight = weight.copy()
    for place in np.ndindex(weight.shape):
        first = second = 0.0
        for step, gradient in enumerate(gradients[:, *place], start=1):
            first = 0.8 * first + 0.2 * gradient
            second = 0.9 * second + 0.1 * gradient**2
            mean, root = first / (1 - 0.8**step), np.sqrt(second / (1 - 0.9**step))
            weight[place] -= lr * (1.27 * np.arctan2(mean, root) + weight_decay * weight[place])
    return weight


def stepped(weight: np.ndarray, gradients: np.ndarray, **settings: float) -> np.ndarray:
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    optimizer = optimizer_method("adam-atan2").build(
        [{"params": [parameter], "eps": 99.0, **settings}], RECIPE
    )
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_steps_equal_a_slow_reference(weight_decay: float) -> None:
    random = np.random.default_rng(0)
    weight, gradients = random.normal(size=(4, 3)), random.normal(size=(5, 4, 3))
    settings = {"lr": 0.1, "weight_decay": weight_decay}
    expected = reference(weight, gradients, **settings)
    assert np.allclose(stepped(weight, gradients, **settings), expected, rtol=1e-12, atol=1e-14)


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


def test_a_gradient_of_zero_moves_nothing() -> None:
    assert np.array_equal(stepped(np.ones(3), np.zeros((2, 3)), lr=1.0, weight_decay=0.0), [1] * 3)


def test_a_population_steps_as_its_members_do() -> None:
    generator = torch.Generator().manual_seed(0)
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1}

    def advance(weights: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        weights = weights.clone()
        first, second = torch.zeros_like(weights), torch.zeros_like(weights)
        for step, gradient in enumerate(gradients, start=1):
            adam_atan2_(weights, gradient, first, second, step=step, **settings)
        return weights

    weights = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
    gradients = torch.randn(5, 3, 4, 2, generator=generator, dtype=torch.float64)
    together = advance(weights, gradients)
    for member in range(3):
        alone = advance(weights[member], gradients[:, member])
        # Not bit for bit: the last entries of an odd number are computed one by one.
        torch.testing.assert_close(together[member], alone, rtol=1e-13, atol=1e-15)

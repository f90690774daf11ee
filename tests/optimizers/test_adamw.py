from __future__ import annotations

import numpy as np
import torch

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.update_rule import At
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=99.0, batch_units=1, weight_decay=99.0, beta1=0.8, beta2=0.9, eps=99.0)


def reference_steps(
    weights: np.ndarray,
    gradients: np.ndarray,
    *,
    lr: float,
    weight_decay: float,
    eps: float,
) -> np.ndarray:
    """AdamW, algorithm 2 of Loshchilov and Hutter 2019 with their eta_t alpha as lr."""
    first = np.zeros_like(weights)
    second = np.zeros_like(weights)
    for step, gradient in enumerate(gradients, start=1):
        first = 0.8 * first + 0.2 * gradient
        second = 0.9 * second + 0.1 * gradient**2
        update = (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.9**step)) + eps)
        weights = weights - lr * update - lr * weight_decay * weights
    return weights


def test_steps_equal_a_slow_reference_with_each_groups_own_settings() -> None:
    settings = [
        {"lr": 0.1, "weight_decay": 0.3, "eps": 0.5},
        {"lr": 0.01, "weight_decay": 0.0, "eps": 1e-3},
    ]
    random = np.random.default_rng(0)
    weights = random.normal(size=(2, 4, 3))
    gradients = random.normal(size=(2, 3, 4, 3))
    parameters = [torch.nn.Parameter(torch.from_numpy(start.copy())) for start in weights]
    optimizer = optimizer_method("adamw").build(
        [{"params": [p], **group} for p, group in zip(parameters, settings, strict=True)], RECIPE
    )
    for step in range(3):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient[step].copy())
        optimizer.step()
    for parameter, start, history, group in zip(
        parameters, weights, gradients, settings, strict=True
    ):
        expected = reference_steps(start, history, **group)
        assert np.allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_it_is_the_fused_kernel() -> None:
    group = {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.1}
    optimizer = optimizer_method("adamw").build([group], RECIPE)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["fused"] is True


def test_the_rule_in_one_kernel_is_the_rule() -> None:
    rule = optimizer_method("adamw").rule
    assert rule is not None
    assert rule.in_one_kernel is not None
    random = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(4, 5, 3, generator=random, dtype=torch.float64)
    settings = {"lr": 0.1, "weight_decay": 0.3, "eps": 0.1, "beta1": 0.8, "beta2": 0.9}
    expected, value = start, start.clone()
    state, held = (rule.begin(start, settings, At(0, (-2, -1))) for _ in range(2))
    for step, gradient in enumerate(gradients, start=1):
        at = At(step, (-2, -1))
        expected, state = rule.update(expected, gradient, state, settings, at)
        rule.in_one_kernel(value, gradient, held, settings, at)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(held, state, rtol=1e-13, atol=1e-15)

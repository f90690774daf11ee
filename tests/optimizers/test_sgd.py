from __future__ import annotations

import numpy as np
import torch

from windtunnel.optimizers import optimizer_method
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=99.0, batch_units=1, weight_decay=99.0, beta1=0.8)


def test_steps_equal_a_slow_reference_with_each_groups_own_settings() -> None:
    random = np.random.default_rng(0)
    settings = [{"lr": 0.1, "weight_decay": 0.3}, {"lr": 0.01, "weight_decay": 0.0}]
    weights, gradients = random.normal(size=(2, 4, 3)), random.normal(size=(2, 3, 4, 3))
    parameters = [torch.nn.Parameter(torch.from_numpy(start.copy())) for start in weights]
    groups = [
        {"params": [p], "eps": 1e-8, **group} for p, group in zip(parameters, settings, strict=True)
    ]
    optimizer = optimizer_method("sgd").build(groups, RECIPE)
    for step in range(3):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient[step].copy())
        optimizer.step()
    for parameter, weight, history, group in zip(
        parameters, weights, gradients, settings, strict=True
    ):
        moving = np.zeros_like(weight)
        for gradient in history:
            moving = 0.8 * moving + gradient + group["weight_decay"] * weight
            weight = weight - group["lr"] * moving
        assert np.allclose(parameter.detach().numpy(), weight, rtol=1e-12, atol=1e-14)


def test_it_is_the_fused_kernel() -> None:
    group = {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.1}
    optimizer = optimizer_method("sgd").build([group], RECIPE)
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["fused"] is True

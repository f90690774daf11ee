from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer

RULE = optimizer_method("lion").rule


def stepped(start: float, gradients: np.ndarray, lr: float, decay: float) -> list[float]:
    assert RULE is not None
    parameter = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = RuleOptimizer([parameter], RULE, lr=lr, weight_decay=decay)
    path = []
    for gradient in gradients:
        parameter.grad = torch.tensor([float(gradient)], dtype=torch.float64)
        optimizer.step()
        path.append(parameter.item())
    return path


def test_the_first_steps_by_hand() -> None:
    """The third gradient turns the sign at once: 0.95 of the mean is 0.0188, 0.05 of it is 0.05."""
    path = stepped(0.0, np.array([1.0, 0.0, -1.0]), lr=0.1, decay=0.0)
    assert path == pytest.approx([-0.1, -0.2, -0.1])


@given(
    start=st.floats(-50, 50),
    decay=st.floats(0.1, 2.0),
    lr=st.floats(0.001, 0.4),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_weights_come_within_one_over_the_decay_geometrically_and_stay(
    start: float, decay: float, lr: float, seed: int
) -> None:
    """The constraint of Lion-kappa (Chen et al. 2024, arXiv 2310.05898): no luck is needed."""
    gradients = np.random.default_rng(seed).normal(size=40)
    outside = max(abs(start) - 1 / decay, 0.0)
    for weight in stepped(start, gradients, lr, decay):
        outside *= 1 - lr * decay
        assert abs(weight) <= 1 / decay + outside + 1e-12

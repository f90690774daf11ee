from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer

# The norm in which weights are bounded, and by how much a step may be longer than one in it:
# the quintic iteration leaves singular values of up to 1.21.
NORMS: dict[str, tuple[Callable[[torch.Tensor], float], float]] = {
    "lion-huber": (lambda w: float(w.abs().max()), 1.0),
    "lion-l2": (lambda w: float(torch.linalg.matrix_norm(w)), 1.0),
    "lion-nuclear": (lambda w: float(torch.linalg.matrix_norm(w, ord=2)), 1.21),
}


@pytest.mark.parametrize("name", NORMS)
@given(
    size=st.floats(0.1, 50), decay=st.floats(0.1, 2.0), lr=st.floats(0.01, 0.4), seed=st.integers(0)
)
@settings(deadline=None, max_examples=15)
def test_weights_come_within_one_over_the_decay_geometrically_and_stay(
    name: str, size: float, decay: float, lr: float, seed: int
) -> None:
    norm, longest = NORMS[name]
    random = np.random.default_rng(seed)
    parameter = torch.nn.Parameter(torch.from_numpy(size * random.normal(size=(3, 4))))
    rule = optimizer_method(name).rule
    assert rule is not None
    optimizer = RuleOptimizer([parameter], rule, lr=lr, weight_decay=decay)
    outside = max(norm(parameter.detach()) - longest / decay, 0.0)
    for gradient in random.normal(size=(25, 3, 4)):
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        outside *= 1 - lr * decay
        assert norm(parameter.detach()) <= longest / decay + outside + 1e-9


def test_far_from_zero_huber_is_lion() -> None:
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(3, 4)), random.normal(size=(9, 3, 4))
    ends = []
    for name in ("lion", "lion-huber"):
        parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
        rule = optimizer_method(name).rule
        assert rule is not None
        optimizer = RuleOptimizer([parameter], rule, lr=0.1, weight_decay=0.3)
        for gradient in gradients:
            parameter.grad = torch.from_numpy(gradient)
            optimizer.step()
        ends.append(parameter.detach())
    assert torch.equal(*ends)

from __future__ import annotations

import pytest
import torch

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer


@pytest.mark.parametrize("kind", ["dense", "rank one", "one spike"])
def test_what_the_cosine_does_is_lost_in_noise(kind: str) -> None:
    """A step of AuON is momentum of one length, to a part in a thousand for a layer of any size."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(64, 64, generator=generator, dtype=torch.float64)
    if kind == "rank one":
        gradient = gradient[:, :1] @ gradient[:1]
    if kind == "one spike":
        gradient = torch.zeros_like(gradient)
        gradient[3, 5] = 1.0
    parameter = torch.nn.Parameter(torch.zeros(64, 64, dtype=torch.float64))
    rule = optimizer_method("auon").rule
    assert rule is not None
    parameter.grad = gradient
    RuleOptimizer([parameter], rule, lr=1.0).step()
    plain = -gradient / torch.linalg.matrix_norm(gradient)
    difference = torch.linalg.matrix_norm(parameter.detach() - plain)
    assert 1e-6 < difference < 1e-3

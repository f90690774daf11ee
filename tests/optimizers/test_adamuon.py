from __future__ import annotations

import pytest
import torch

from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.rule_optimizer import RuleOptimizer


def steps(shape: tuple[int, int], count: int) -> list[torch.Tensor]:
    rule = optimizer_method("adamuon").rule
    assert rule is not None
    generator = torch.Generator().manual_seed(0)
    parameter = torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    optimizer = RuleOptimizer([parameter], rule, lr=0.5)
    taken = []
    for _ in range(count):
        before = parameter.detach().clone()
        parameter.grad = torch.randn(shape, generator=generator, dtype=torch.float64)
        optimizer.step()
        taken.append(parameter.detach() - before)
    return taken


@pytest.mark.parametrize("shape", [(8, 8), (4, 32), (32, 4)])
def test_every_step_has_one_root_mean_square_and_the_first_one_size(
    shape: tuple[int, int],
) -> None:
    first, *rest = steps(shape, 30)
    assert torch.allclose(first.abs(), torch.full_like(first, 0.5 * 0.2), rtol=1e-5)
    for step in rest:
        assert step.square().mean().sqrt().item() == pytest.approx(0.1, rel=1e-6)
    assert rest[-1].abs().std() > 0.02

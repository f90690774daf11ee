from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.muon import muon_, orthogonalise
from windtunnel.optimizers.muon import matched_factor
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=99.0, batch_units=1, weight_decay=99.0, beta1=0.8, beta2=0.9)


def built(
    hidden: nn.Parameter, other: nn.Parameter, weight_decay: float = 0.5
) -> torch.optim.Optimizer:
    return optimizer_method("muon").build(
        [
            {"params": [other], "lr": 0.1, "weight_decay": 0.0, "eps": 1e-8, "geometry": "sign"},
            {
                "params": [hidden],
                "lr": 0.1,
                "weight_decay": weight_decay,
                "eps": 1e-8,
                "geometry": "orthogonal",
            },
        ],
        RECIPE,
    )


def orthogonalised(matrix: np.ndarray) -> np.ndarray:
    """Newton and Schulz' five quintic steps with Jordan's coefficients, in float64."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / np.linalg.norm(matrix)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
def test_hidden_matrices_step_as_a_slow_reference_of_muon(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=shape), random.normal(size=(3, *shape))
    hidden = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = built(hidden, nn.Parameter(torch.zeros(2)))
    moving, weight = np.zeros(shape), start
    for gradient in gradients:
        hidden.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        moving = 0.95 * moving + 0.05 * gradient
        direction = orthogonalised(0.05 * gradient + 0.95 * moving)
        weight = weight * (1 - 0.1 * 0.5) - 0.1 * 0.2 * max(shape) ** 0.5 * direction
    assert np.allclose(hidden.detach().numpy(), weight, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
def test_in_bfloat16_it_is_torchs_muon(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(shape, generator=generator)
    theirs = nn.Parameter(ours.clone())
    moving = torch.zeros(shape)
    settings = {"lr": 0.1, "momentum": 0.95, "weight_decay": 0.5, "eps": 1e-8}
    torchs = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        theirs.grad = gradient.clone()
        torchs.step()
        muon_(
            ours,
            gradient,
            moving,
            factor=matched_factor(shape),
            dtype=torch.bfloat16,
            **settings,
        )
    assert torch.equal(ours, theirs.detach())


def test_a_stack_of_matrices_steps_as_each_does() -> None:
    stack = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = orthogonalise(stack, eps=1e-8, dtype=torch.float64)
    for matrix, found in zip(stack, together, strict=True):
        alone = orthogonalise(matrix, eps=1e-8, dtype=torch.float64)
        torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e-7, 1.0, 1e6])
def test_singular_values_come_near_one_whatever_the_gradients_size(size: float) -> None:
    matrix = size * torch.randn(16, 48, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(matrix, eps=1e-8, dtype=torch.float32))
    assert values.min() > 0.65 and values.max() < 1.25


def test_a_gradient_of_zero_moves_nothing() -> None:
    hidden = nn.Parameter(torch.ones(2, 3))
    optimizer = built(hidden, nn.Parameter(torch.zeros(2)), weight_decay=0.0)
    hidden.grad = torch.zeros(2, 3)
    optimizer.step()
    assert torch.equal(hidden.detach(), torch.ones(2, 3))


def test_all_else_steps_as_adamw() -> None:
    other, beside = (nn.Parameter(torch.full((3,), 2.0)) for _ in range(2))
    optimizer = built(nn.Parameter(torch.eye(3)), other)
    adamw = optimizer_method("adamw").build(
        [{"params": [beside], "lr": 0.1, "weight_decay": 0.0, "eps": 1e-8}], RECIPE
    )
    for _ in range(3):
        for parameter in (other, beside):
            parameter.grad = parameter.detach().clone()
        optimizer.step()
        adamw.step()
    assert torch.equal(other, beside)
    assert not torch.equal(other, torch.full((3,), 2.0))


def test_the_factor_that_plans_divide_by_is_the_one_that_is_applied() -> None:
    """Full-rank steps of one size a shape, up to the iteration's own scatter about one."""
    own_factor = optimizer_method("muon").own_factor
    assert own_factor is not None
    for shape in ((32, 32), (32, 128), (128, 32)):
        hidden = nn.Parameter(torch.zeros(shape))
        optimizer = built(hidden, nn.Parameter(torch.zeros(2)))
        hidden.grad = nn.init.orthogonal_(torch.empty(shape))
        optimizer.step()
        spectral = float(torch.linalg.matrix_norm(hidden.detach(), ord=2))
        assert spectral / (0.1 * own_factor(shape)) == pytest.approx(1.0, abs=0.35)


def test_a_hidden_parameter_that_is_no_matrix_is_refused_by_shape() -> None:
    with pytest.raises(WindtunnelError, match=r"matrices only, not a parameter of shape \[2, 3, 4"):
        built(nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(2)))


def test_groups_that_do_not_say_their_geometry_are_refused() -> None:
    group = {"params": [nn.Parameter(torch.zeros(2, 2))], "lr": 0.1}
    with pytest.raises(WindtunnelError, match=r"geometry None.*windtunnel\.param_groups"):
        optimizer_method("muon").build([group], RECIPE)

from __future__ import annotations

import pytest
import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.orthogonal import orthogonalise
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=99.0, batch_units=1, weight_decay=99.0, beta1=0.8, beta2=0.9)


def built(
    hidden: nn.Parameter, other: nn.Parameter, weight_decay: float = 0.5
) -> torch.optim.Optimizer:
    return optimizer_method("muon").build(
        [
            {"params": [other], "lr": 0.1, "weight_decay": 0.0, "eps": 1e-8, "method": "adamw"},
            {
                "params": [hidden],
                "lr": 0.1,
                "weight_decay": weight_decay,
                "eps": 1e-8,
                "method": "muon",
            },
        ],
        RECIPE,
    )


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
def test_in_bfloat16_it_is_torchs_muon(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windtunnel.optimizers.muon.precision_of", lambda gradient: torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    ours = nn.Parameter(torch.randn(shape, generator=generator))
    theirs = nn.Parameter(ours.detach().clone())
    settings = {"lr": 0.1, "weight_decay": 0.5, "eps": 1e-8}
    torchs = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", momentum=0.95, **settings)
    optimizer = optimizer_method("muon").build(
        [{"params": [ours], "method": "muon", **settings}], RECIPE
    )
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        for parameter, own in ((theirs, torchs), (ours, optimizer)):
            parameter.grad = gradient.clone()
            own.step()
    # Means that differ in float32's last digit may be rounded to neighbours in bfloat16.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


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
    with pytest.raises(WindtunnelError, match=r"method None.*windtunnel\.param_groups"):
        optimizer_method("muon").build([group], RECIPE)


def test_the_recipe_s_settings_reach_the_matrices_alone() -> None:
    recipe = RECIPE.replace(optimizer_settings=(("momentum", 0.5),))
    groups = [
        {"params": [nn.Parameter(torch.zeros(2, 2))], "lr": 0.1, "method": "muon"},
        {"params": [nn.Parameter(torch.zeros(2))], "lr": 0.1, "method": "adamw"},
    ]
    optimizer = optimizer_method("muon").build(groups, recipe)
    assert [group.get("momentum") for group in optimizer.param_groups] == [0.5, None]


@pytest.mark.parametrize("shape", [(130, 130), (300, 150), (140, 290), (2, 5, 9)])
@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_however_it_is_computed_it_is_the_quintic_of_the_singular_values(
    shape: tuple[int, ...], steps: int
) -> None:
    """Across the edges of the blocks, on the small side and without it."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / torch.linalg.matrix_norm(matrix)[..., None]
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    found = orthogonalise(matrix, eps=1e-8, dtype=torch.float64, steps=steps)
    expected = left @ (values[..., None] * right)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(160, 160), (160, 640), (640, 160)])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-3)])
def test_in_lower_precision_it_comes_as_near_to_orthogonal_as_in_float64(
    shape: tuple[int, int], dtype: torch.dtype, near: float
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    exact = (left @ right).flatten()
    found, best = (
        torch.cosine_similarity(
            orthogonalise(matrix, eps=1e-8, dtype=precision).double().flatten(), exact, dim=0
        )
        for precision in (dtype, torch.float64)
    )
    assert found > best - near

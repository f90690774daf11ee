from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import method_of, optimizer_method
from windtunnel.scale import Recipe

RECIPE = Recipe(lr=0.01, batch_units=1)


def stepped(
    weight: np.ndarray, gradients: np.ndarray, *, lr: float, weight_decay: float = 0.0
) -> np.ndarray:
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    group = {"params": [parameter], "lr": lr, "weight_decay": weight_decay, "eps": 1e-8}
    optimizer = optimizer_method("adafactor").build([group], RECIPE)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


def reference(
    weight: np.ndarray, gradients: np.ndarray, *, lr: float, weight_decay: float = 0.0
) -> np.ndarray:
    """Algorithm 5 of Shazeer and Stern 2018 (vectors: algorithm 4), with coupled decay."""
    second = 0.0
    for step, gradient in enumerate(gradients, start=1):
        beta2 = 1 - step**-0.8
        square = gradient**2
        if weight.ndim == 2:  # the factored moment is linear: factor the whole moving mean
            rows, columns = square.mean(1, keepdims=True), square.mean(0, keepdims=True)
            now = np.concatenate([rows.ravel(), columns.ravel()])
            second = beta2 * second + (1 - beta2) * now
            row, column = second[: len(rows), None], second[None, len(rows) :]
            estimate = row * column / row.mean()
        else:
            estimate = second = beta2 * second + (1 - beta2) * square
        update = gradient / np.sqrt(estimate)
        update /= max(1.0, np.sqrt(np.mean(update**2)))
        rate = min(lr, step**-0.5) * max(1e-3, np.sqrt(np.mean(weight**2)))
        weight = weight * (1 - lr * weight_decay) - rate * update
    return weight


@pytest.mark.parametrize("shape", [(4, 3), (5,)])
@pytest.mark.parametrize("lr", [0.01, 0.9])  # the second meets torch's limit, 1/sqrt(step)
def test_steps_equal_a_slow_reference(shape: tuple[int, ...], lr: float) -> None:
    random = np.random.default_rng(1)
    weight, gradients = random.normal(size=shape), random.normal(size=(4, *shape))
    # torch multiplies the rate by the parameter before its decay, as the reference does.
    expected = reference(weight, gradients, lr=lr, weight_decay=0.0)
    assert np.allclose(stepped(weight, gradients, lr=lr), expected, rtol=1e-10)


def test_decay_is_coupled_with_the_rate() -> None:
    weight, gradients = np.ones((2, 2)), np.zeros((1, 2, 2))
    moved = stepped(weight, gradients, lr=0.01, weight_decay=0.5)
    assert np.allclose(moved, 1 - 0.01 * 0.5, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1e3])
def test_gradients_of_any_size_give_the_same_step(size: float) -> None:
    random = np.random.default_rng(2)
    weight, gradients = random.normal(size=(4, 3)), random.normal(size=(2, 4, 3))
    expected = stepped(weight, gradients, lr=0.01)
    assert np.allclose(stepped(weight, size * gradients, lr=0.01), expected, rtol=1e-9)


def test_a_gradient_of_zero_moves_nothing_in_float32_whatever_the_epsilon() -> None:
    for eps in (1e-8, 1e-15, 1e-30):
        parameter = nn.Parameter(torch.ones(3, 2))
        group = {"params": [parameter], "lr": 0.1, "weight_decay": 0.0, "eps": eps}
        optimizer = optimizer_method("adafactor").build([group], RECIPE)
        parameter.grad = torch.zeros(3, 2)
        optimizer.step()
        assert torch.equal(parameter.detach(), torch.ones(3, 2))


@pytest.mark.parametrize(
    "build", [optimizer_method("adafactor").build, method_of(torch.optim.Adafactor).build]
)
def test_a_plans_factor_is_for_the_least_size_and_one_changes_nothing(build) -> None:
    for factor in (1.0, 0.25):
        group = {"params": [nn.Parameter(torch.zeros(3, 2))], "lr": 0.1, "eps": 1e-8 * factor}
        (built,) = build([group], RECIPE).param_groups
        assert built["eps"] == pytest.approx((1e-16, 1e-3 * factor))


def test_sharded_parameters_are_refused() -> None:
    class DTensor(Tensor):
        pass

    group = {"params": [torch.ones(2, 2).as_subclass(DTensor)], "lr": 0.1}
    with pytest.raises(WindtunnelError, match="sharded parameters"):
        optimizer_method("adafactor").build([group], RECIPE)

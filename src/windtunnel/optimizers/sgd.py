"""Stochastic gradient descent with momentum (Polyak 1964), as torch computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import zeros
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry, Recipe
from windtunnel.shards import is_sharded

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import SGD as TorchSGD  # noqa: N811

    from windtunnel.optimizers.update_rule import Floats, Settings, State


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """A sum of gradients, of zeros."""
    return {"sum": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`s = beta1 * s + g + weight_decay * w` and `w -= lr * s`.

    Momentum sums gradients, it doesn't average them, so steps are `1 / (1 - beta1)` times as long
    as the rate says. Decay is added to the gradient, and so has momentum too. The momentum is
    the recipe's beta1; beta2 and epsilon play no part.
    """
    decayed = gradient + settings["weight_decay"] * parameter
    total = settings["beta1"] * state["sum"] + decayed
    return parameter - settings["lr"] * total, {"sum": total}


def reference(
    start: Floats, gradients: Floats, *, lr: float, weight_decay: float, beta1: float = 0.9
) -> Floats:
    """Polyak's form, in two past weights: `w - lr * (g + decay * w) + beta1 * (w - before)`."""
    before = weight = start
    for gradient in gradients:
        after = weight - lr * (gradient + weight_decay * weight) + beta1 * (weight - before)
        before, weight = weight, after
    return weight


def from_torch(param_groups: list[dict[str, Any]], recipe: Recipe) -> TorchSGD:
    """The one of torch, in one kernel where that is right.

    On CPUs its kernel for bfloat16 gives other numbers altogether (torch 2.13: off by the size of
    the whole movement), and it has none for sharded parameters: those are left to its loop.
    """
    import torch
    from torch.optim import SGD as TorchSGD  # noqa: N811

    parameters = [parameter for group in param_groups for parameter in group["params"]]
    wrong = any(
        is_sharded(p) or (p.dtype == torch.bfloat16 and p.device.type == "cpu") for p in parameters
    )
    return TorchSGD(
        param_groups,
        lr=recipe.lr,
        momentum=recipe.beta1,
        weight_decay=recipe.weight_decay,
        fused=not wrong,
    )


SGD = OptimizerMethod(
    name="sgd",
    geometry=Geometry.SGD,
    rule=UpdateRule(
        update=update,
        begin=begin,
        reference=reference,
        state_size=elements,
        constants={"beta1": 0.9},
        from_recipe=("beta1",),
    ),
    from_torch=from_torch,
)

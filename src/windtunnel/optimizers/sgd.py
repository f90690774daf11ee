"""Stochastic gradient descent with momentum (Polyak 1964), as torch's fused kernel computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import SGD as TorchSGD  # noqa: N811


def _build(param_groups: list[dict[str, Any]], recipe: Recipe) -> TorchSGD:
    """The momentum is the recipe's beta1; beta2 and epsilon play no part.

    Momentum sums gradients, it doesn't average them, so steps are `1 / (1 - beta1)` times as long
    as the rate says. Decay is added to the gradient: `w -= lr * weight_decay * w`, with momentum.
    """
    from torch.optim import SGD as TorchSGD  # noqa: N811

    return TorchSGD(
        param_groups,
        lr=recipe.lr,
        momentum=recipe.beta1,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


SGD = OptimizerMethod(name="sgd", geometry=Geometry.SGD, build=_build)

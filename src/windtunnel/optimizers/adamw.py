"""AdamW (Loshchilov and Hutter 2019), as torch's fused kernel computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import AdamW


def _build(param_groups: list[dict[str, Any]], recipe: Recipe) -> AdamW:
    from torch.optim import AdamW

    return AdamW(
        param_groups,
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


ADAMW = OptimizerMethod(name="adamw", geometry=Geometry.SIGN, build=_build)

"""Adam-atan2 (Everett et al. 2024, arXiv 2407.05872, section 5): Adam without epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from windtunnel.optimizers.classes.adam_atan2 import AdamAtan2


def _build(param_groups: list[dict[str, Any]], recipe: Recipe) -> AdamAtan2:
    from windtunnel.optimizers.classes.adam_atan2 import AdamAtan2

    return AdamAtan2(
        param_groups,
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
    )


ADAM_ATAN2 = OptimizerMethod(name="adam-atan2", geometry=Geometry.SIGN, build=_build)

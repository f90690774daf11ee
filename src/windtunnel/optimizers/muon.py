"""Muon (Jordan et al. 2024) for hidden matrices, and AdamW for everything else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from windtunnel.optimizers.classes.split import SplitOptimizer

# Momentum of the matrices, with Nesterov's correction: Jordan's and torch's. It is not the
# recipe's beta1, which AdamW keeps: the best values of the two differ.
MOMENTUM = 0.95


def matched_factor(shape: tuple[int, ...]) -> float:
    """What is put on the rate, as by torch's `match_rms_adamw`: `0.2 sqrt(max(rows, columns))`.

    Updates then have a root mean square of about 0.2, as AdamW's do, so that one learning rate
    serves both (Liu et al. 2025, arXiv 2502.16982, equation 4). It grows with width.

    Raises:
        WindtunnelError: The shape is no matrix' shape.
    """
    refuse_other_than_matrices(shape)
    return 0.2 * math.sqrt(max(shape))


def original_factor(shape: tuple[int, ...]) -> float:
    """What torch's Muon puts on the rate by default: `sqrt(max(1, rows / columns))`.

    Raises:
        WindtunnelError: The shape is no matrix' shape.
    """
    refuse_other_than_matrices(shape)
    return math.sqrt(max(1.0, shape[0] / shape[1]))


def refuse_other_than_matrices(shape: tuple[int, ...]) -> None:
    """Raise WindtunnelError unless the shape has two dimensions: torch's Muon takes no other."""
    if len(shape) != 2:
        raise WindtunnelError(
            f"optimizer: torch's Muon takes matrices only, not a parameter of shape "
            f"{list(shape)}; use 'muon', which leaves all but hidden matrices to AdamW"
        )


def _build(param_groups: list[dict[str, Any]], recipe: Recipe) -> SplitOptimizer:
    from windtunnel.optimizers.classes.muon import Muon
    from windtunnel.optimizers.classes.split import SplitOptimizer

    def matrices(groups: list[dict[str, Any]]) -> Optimizer:
        return Muon(
            groups,
            matched_factor,
            lr=recipe.lr,
            momentum=MOMENTUM,
            weight_decay=recipe.weight_decay,
            eps=recipe.eps,
        )

    for group in param_groups:
        if group.get("geometry") == Geometry.ORTHOGONAL:
            for parameter in group["params"]:
                refuse_other_than_matrices(tuple(parameter.shape))
    return SplitOptimizer(
        param_groups,
        {
            str(Geometry.ORTHOGONAL): matrices,
            str(Geometry.SIGN): lambda groups: ADAMW.build(groups, recipe),
        },
    )


# Stacked experts and convolutions have more than two dimensions; a plan gives them to AdamW.
# Decay is `lr * weight_decay` without the factor, here as in torch.
MUON = OptimizerMethod(
    name="muon",
    geometry=Geometry.ORTHOGONAL,
    build=_build,
    elsewhere=Geometry.SIGN,
    own_factor=matched_factor,
)

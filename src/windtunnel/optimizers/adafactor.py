"""Adafactor (Shazeer and Stern 2018, arXiv 1804.04235), as torch computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch.optim import Adafactor

# Root mean square of a parameter below which updates stop being relative to it; what starts at
# zero starts to move by this. The paper's epsilon_2, and torch's default. A plan scales it as it
# does the parameter: left alone, a readout that starts at zero learns faster the wider it is.
LEAST_PARAMETER_RMS = 1e-3
# torch holds the square root of the second moment above the first epsilon and the moment's row
# mean above the same number. 1e-18 squared is still a float32.
_LEAST_ROW_MEAN = 1e-18


def _from_torch(param_groups: list[dict[str, Any]], recipe: Recipe) -> Adafactor:
    """There is no first moment, so neither beta is used; beta2 is `1 - step ** -0.8`.

    Updates are relative in every tensor, vectors too: torch multiplies the rate by the parameter's
    root mean square, and clips updates to a root mean square of one. It also holds the rate below
    `1 / sqrt(step)`: a rate above `1 / sqrt(steps)` is not the one that was asked for, and does
    not transfer.

    Raises:
        WindtunnelError: A parameter is a DTensor, on which torch's Adafactor fails.
    """
    from torch.optim import Adafactor

    if any(type(p).__name__ == "DTensor" for group in param_groups for p in group["params"]):
        raise WindtunnelError(
            "optimizer: torch's Adafactor can't take sharded parameters (DTensor); use adamw, or "
            "train under DDP"
        )
    groups = with_pairs(param_groups, recipe)
    return Adafactor(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def with_pairs(param_groups: list[dict[str, Any]], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups with the pair of epsilons that torch wants.

    The first is the least row mean of a squared gradient, the second the least size of a parameter.

    Args:
        param_groups: Their `eps`, where there is one, is the recipe's times the plan's factor,
            which is for the second.
        recipe: Its epsilon is for the first.
    """
    first = max(recipe.eps * recipe.eps, _LEAST_ROW_MEAN)
    return [
        {**group, "eps": (first, LEAST_PARAMETER_RMS * (group["eps"] / recipe.eps))}
        if "eps" in group
        else group
        for group in param_groups
    ]


def epsilon_at_base(geometry: Geometry, recipe: Recipe) -> float:
    """What a plan's epsilon is a factor on: the recipe's, or the least size of a parameter."""
    return LEAST_PARAMETER_RMS if geometry is Geometry.RELATIVE else recipe.eps


ADAFACTOR = OptimizerMethod(name="adafactor", geometry=Geometry.RELATIVE, from_torch=_from_torch)

"""Top singular values of hidden matrices: do sublayers keep their gain once decay has set them?

After several times 1 / (rate x decay) steps weights forget where they began, and their spectrum
grows as `sqrt(rate / decay) * width^0.75` (arXiv 2510.15262: measured there on Llama-like models).
A rule keeps the gain of a sublayer if top singular values match between widths.

This needs models that were trained in earnest. Short runs under strong decay can't stand in: in 60
steps at three time constants updates still point the same way, and we saw top singular values
follow `width / decay` instead (matching under mup, growing under robust-layerwise).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from windtunnel.parametrization.match import match
from windtunnel.parametrization.plan import ParameterPlan, Plan
from windtunnel.parametrization.slopes import Key, Slope, fit_slopes
from windtunnel.scale import Role

TOP, OVER_LAW = "top singular value", "top singular value over its law"
_DRIFT = 0.25


@torch.no_grad()
def singular_values(model: nn.Module, plan: Plan) -> dict[str, float]:
    """Top singular value of each hidden matrix, over the steady state's law relative to base.

    Args:
        model: A trained model, for which `lr x weight_decay x steps` is well above one.
        plan: Its plan.

    Returns:
        By parameter name. If the law holds they are equal at all widths.

    Raises:
        WindtunnelError: The model and the plan don't match.
    """
    tops = top_singular_values(model, plan)
    return {name: top / law(plan, plan[name]) for name, top in tops.items()}


@torch.no_grad()
def top_singular_values(model: nn.Module, plan: Plan) -> dict[str, float]:
    """Top singular value of each hidden matrix, by parameter name.

    Raises:
        WindtunnelError: The model and the plan don't match.
    """
    return {
        entry.name: float(torch.linalg.matrix_norm(parameter.double(), 2))
        for entry, parameter in match(model, plan)
        if entry.role is Role.HIDDEN and len(entry.shape) == 2
    }


def law(plan: Plan, entry: ParameterPlan) -> float:
    """The steady state's top singular value, over base's: `sqrt(rate / decay) * width^0.75`."""
    width = plan.target.width / plan.base.width
    return float((entry.lr / entry.weight_decay) ** 0.5 * width**0.75)


def singular_value_slopes(trained: Iterable[tuple[nn.Module, Plan]]) -> tuple[Slope, ...]:
    """How top singular values grow with width, as they are and over their law.

    They match, with slopes about 0, where sublayers keep their gain. Over their law they match
    where the law holds, whatever the rule does.

    Args:
        trained: Models with their plans, three or more, of at least two widths; those of one width
            differ in their seeds.

    Raises:
        WindtunnelError: A model and its plan don't match.
    """
    measured: dict[tuple[int, int], dict[Key, float]] = {}
    for seed, (model, plan) in enumerate(trained):
        tops = top_singular_values(model, plan)
        run = {(name, TOP, 0): top for name, top in tops.items()}
        run |= {(name, OVER_LAW, 0): top / law(plan, plan[name]) for name, top in tops.items()}
        measured[plan.target.width, seed] = run
    return fit_slopes("width", measured)


def gain_sentence(slope: Slope) -> str | None:
    """What a slope of top singular values asks for; None where they match between widths."""
    low, high = slope.ci90
    if slope.quantity != TOP or not (low > _DRIFT or high < -_DRIFT):
        return None
    grows, remedy = ("grows", "more") if slope.slope > 0 else ("shrinks", "less")
    return (
        f"top singular value of {slope.module} {grows} as width^{slope.slope:+.2f} (90 % range "
        f"{low:+.2f} to {high:+.2f}) once decay has set it, and its sublayer's gain with it: decay "
        f"it {remedy}, by width^{2 * slope.slope:+.2f} (rule robust-layerwise, arXiv 2510.15262)"
    )

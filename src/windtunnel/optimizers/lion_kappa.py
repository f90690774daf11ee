"""Lion-kappa (Chen et al. 2024, arXiv 2310.05898): Lion with another convex function's gradient.

Lion steps along the sign of its momentum, the gradient of the 1-norm. The family puts the gradient
of another convex function kappa there; with decay, weights end up and stay where the dual of kappa
says: within `1 / weight_decay` in the norm dual to kappa's. The paper's body was not at hand, so
which kappas have names is by the theory, and their settings are Lion's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.lion import BETA1, BETA2, begin
from windtunnel.optimizers.matrices import refuse_other_than_matrices
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving
from windtunnel.optimizers.orthogonal import COEFFICIENTS, STEPS, orthogonalise, precision_of
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State


def _huber(momentum: Tensor, settings: Settings) -> Tensor:
    """Lion's sign, but linear where entries are smaller than epsilon."""
    clipped: Tensor = (momentum / settings["eps"]).clamp(-1.0, 1.0)
    return clipped


def _l2(momentum: Tensor, settings: Settings) -> Tensor:
    """Over its own Frobenius norm: weights within `1 / weight_decay` in that norm."""
    import torch

    norm = torch.linalg.matrix_norm(momentum, keepdim=True)
    unit: Tensor = momentum / (norm + settings["least_norm"])
    return unit


def _nuclear(momentum: Tensor, settings: Settings) -> Tensor:
    """Singular values brought near one, as Muon does: weights bounded in the spectral norm."""
    return orthogonalise(
        momentum,
        eps=settings["least_norm"],
        dtype=precision_of(momentum),
        coefficients=(settings["first"], settings["third"], settings["fifth"]),
        steps=settings["iterations"],
    ).to(momentum.dtype)


def _update_along(
    direction_of: Callable[[Tensor, Settings], Tensor],
) -> Callable[..., tuple[Tensor, State]]:
    """Lion's update with another direction."""

    def update(
        parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
    ) -> tuple[Tensor, State]:
        mean, lr = state["mean"], settings["lr"]
        direction = direction_of(moving(mean, gradient, settings["beta1"]), settings)
        decayed = parameter * (1 - lr * settings["weight_decay"])
        return decayed - lr * direction, {"mean": moving(mean, gradient, settings["beta2"])}

    return update


def _reference_along(direction_of: Callable[[Floats], Floats]) -> Callable[..., Floats]:
    def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
        weight, mean = start.copy(), np.zeros_like(start)
        for gradient in gradients:
            weight = weight - lr * (
                direction_of(0.95 * mean + 0.05 * gradient) + weight_decay * weight
            )
            mean = 0.98 * mean + 0.02 * gradient
        return weight

    return reference


def _huber_reference(momentum: Floats) -> Floats:
    return np.where(np.abs(momentum) < 1e-8, momentum / 1e-8, np.sign(momentum))


def _l2_reference(momentum: Floats) -> Floats:
    unit: Floats = momentum / (np.sqrt((momentum**2).sum()) + 1e-8)
    return unit


def _nuclear_reference(momentum: Floats) -> Floats:
    left, values, right = np.linalg.svd(momentum, full_matrices=False)
    values = values / max(np.sqrt((momentum**2).sum()), 1e-8)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    turned: Floats = (left * values) @ right
    return turned


_BETAS: dict[str, Any] = {"beta1": BETA1, "beta2": BETA2}

# Epsilon is in units of the gradient, so the recipe's is taken and plans scale it.
LION_HUBER = OptimizerMethod(
    name="lion-huber",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=_update_along(_huber),
        begin=begin,
        constants={**_BETAS, "eps": 1e-8},
        reference=_reference_along(_huber_reference),
        state_size=elements,
        from_recipe=("eps",),
    ),
)
# A direction of low rank has singular values of order one in either norm, so rates go as Muon's.
LION_L2 = OptimizerMethod(
    name="lion-l2",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=_update_along(_l2),
        begin=begin,
        constants={**_BETAS, "least_norm": 1e-8},
        reference=_reference_along(_l2_reference),
        state_size=elements,
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
)
LION_NUCLEAR = OptimizerMethod(
    name="lion-nuclear",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=_update_along(_nuclear),
        begin=begin,
        constants={
            **_BETAS,
            "least_norm": 1e-8,
            "first": COEFFICIENTS[0],
            "third": COEFFICIENTS[1],
            "fifth": COEFFICIENTS[2],
            "iterations": STEPS,
        },
        reference=_reference_along(_nuclear_reference),
        state_size=elements,
        shared=("first", "third", "fifth", "iterations"),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
)

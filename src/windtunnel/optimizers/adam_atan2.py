"""Adam-atan2 (Everett et al. 2024, arXiv 2407.05872, section 5): Adam without epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving, zeros
from windtunnel.optimizers.update_rule import At, UpdateRule, two_moments
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# Everett et al. leave the two constants open. These are those of the widely used implementation
# (lucidrains, adam-atan2-pytorch): SCALE is 4 / pi, so that equal moments give a step of one.
SCALE = 1.27
RATIO = 1.0


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Moving means of the gradient and of its square, of zeros."""
    return {"first": zeros(parameter), "second": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (scale * atan2(m, ratio * sqrt(v)) + weight_decay * w)`.

    A gradient that is scaled by any factor gives the same step, until its square underflows.
    """
    lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
    first = moving(state["first"], gradient, beta1)
    second = moving(state["second"], gradient * gradient, beta2)
    mean = first / (1 - beta1**at.step)
    root = settings["ratio"] * (second / (1 - beta2**at.step)).sqrt()
    decayed = parameter * (1 - lr * settings["weight_decay"])
    # The root is never negative, so the angle is that of the quotient, which compiles to half
    # of the time; where both are zero it is zero, and what is no number stays none.
    angle = (mean / root).atan().where(mean != 0, mean)
    updated = decayed - lr * settings["scale"] * angle
    return updated, {"first": first, "second": second}


def reference(
    start: Floats,
    gradients: Floats,
    *,
    lr: float,
    weight_decay: float,
    beta1: float = 0.9,
    beta2: float = 0.95,
) -> Floats:
    """Adam with `m / sqrt(v)` written as an angle, entry by entry."""
    weight = start.copy()
    for place in np.ndindex(weight.shape):
        first = second = 0.0
        for step, gradient in enumerate(gradients[:, *place], start=1):
            first = beta1 * first + (1 - beta1) * gradient
            second = beta2 * second + (1 - beta2) * gradient**2
            mean, root = first / (1 - beta1**step), np.sqrt(second / (1 - beta2**step))
            weight[place] -= lr * (1.27 * np.arctan2(mean, root) + weight_decay * weight[place])
    return weight


ADAM_ATAN2 = OptimizerMethod(
    name="adam-atan2",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update,
        begin=begin,
        reference=reference,
        state_size=two_moments,
        constants={"beta1": 0.9, "beta2": 0.95, "scale": SCALE, "ratio": RATIO},
        from_recipe=("beta1", "beta2"),
    ),
)

"""Lion (Chen et al. 2023, arXiv 2302.06675, program 1): the sign of a momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving, zeros
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# For language models, by the authors' own page (google/automl, lion); for images 0.9 and 0.99.
BETA1, BETA2 = 0.95, 0.98


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """One moving mean, of zeros."""
    return {"mean": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w)`, and then `m` by `beta2`.

    The sign is taken of the mean before this gradient enters it with `beta2`. There is neither a
    bias correction nor an epsilon, so that a loss times any factor gives the same steps.
    """
    mean, lr = state["mean"], settings["lr"]
    direction = moving(mean, gradient, settings["beta1"]).sign()
    decayed = parameter * (1 - lr * settings["weight_decay"])
    return decayed - lr * direction, {"mean": moving(mean, gradient, settings["beta2"])}


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """Entry by entry, in the order of the paper's program."""
    weight = start.copy()
    for place in np.ndindex(weight.shape):
        mean = 0.0
        for gradient in gradients[:, *place]:
            sign = np.sign(0.95 * mean + 0.05 * gradient)
            weight[place] -= lr * (sign + weight_decay * weight[place])
            mean = 0.98 * mean + 0.02 * gradient
    return weight


LION = OptimizerMethod(
    name="lion",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update,
        begin=begin,
        reference=reference,
        state_size=elements,
        constants={"beta1": BETA1, "beta2": BETA2},
    ),
)

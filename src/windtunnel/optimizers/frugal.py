"""FRUGAL (Zmushko et al. 2024, arXiv 2411.07837, algorithm 1): moments of some columns alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices, shuffled
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving
from windtunnel.optimizers.update_rule import At, UpdateRule
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# As in the authors' code (fzmushko/FRUGAL) and its script for pre-training with 130M parameters.
DENSITY = 0.25  # share of the columns whose moments are kept
EVERY = 200  # steps from one choice of columns to the next
BETA1, BETA2 = 0.9, 0.999
INACTIVE = 1.0  # of the rate, for the others: 0.1 in fine-tuning


def kept(columns: int, density: float = DENSITY) -> int:
    """How many columns have moments."""
    return max(1, int(density * columns))


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Two moments of the chosen columns, of zeros."""
    shape = (*parameter.shape[:-1], kept(parameter.shape[-1], settings["density"]))
    return {"first": parameter.new_zeros(shape), "second": parameter.new_zeros(shape)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """AdamW where moments are kept; the gradient's sign at `inactive` times the rate elsewhere.

    Where columns are chosen anew, moments and the number of steps begin anew as well. They are
    columns at random: the authors' main runs choose whole matrices, for which a rule would have to
    see all parameters at once.
    """
    period, within = divmod(at.step - 1, int(settings["every"]))
    if within == 0:
        state = begin(parameter, settings, at)
    count = kept(parameter.shape[-1], settings["density"])
    order = shuffled(parameter.shape[-1], at.number, period).to(parameter.device)
    own = gradient[..., order[:count]]
    first = moving(state["first"], own, settings["beta1"])
    second = moving(state["second"], own * own, settings["beta2"])
    mean = first / (1 - settings["beta1"] ** (within + 1))
    root = (second / (1 - settings["beta2"] ** (within + 1))).sqrt()
    direction = (settings["inactive"] * gradient.sign()).index_copy(
        -1, order[:count], mean / (root + settings["eps"])
    )
    lr = settings["lr"]
    decayed = parameter * (1 - lr * settings["weight_decay"])
    return decayed - lr * direction, {"first": first, "second": second}


def state_size(shape: tuple[int, ...]) -> int:
    """Two moments of the columns that are kept."""
    return 2 * shape[0] * kept(shape[1])


def reference(
    start: Floats, gradients: Floats, *, lr: float, weight_decay: float, every: int = 200
) -> Floats:
    """Column by column, each as if it were a parameter of its own."""
    weight, columns = start.copy(), start.shape[1]
    for column in range(columns):
        mean = square = np.zeros(len(start))
        for step, gradient in enumerate(gradients[:, :, column]):
            since = step % every + 1
            if since == 1:
                mean = square = np.zeros(len(start))
            chosen = shuffled(columns, 0, step // every).tolist()[: max(1, columns // 4)]
            weight[:, column] *= 1 - lr * weight_decay
            if column in chosen:
                mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
                root = np.sqrt(square / (1 - 0.999**since))
                weight[:, column] -= lr * (mean / (1 - 0.9**since)) / (root + 1e-8)
            else:
                weight[:, column] -= lr * np.sign(gradient)
    return weight


# Entries of an update are of order one with moments and without, so rates go as AdamW's. The
# authors leave tables, readout and vectors to AdamW too.
FRUGAL = OptimizerMethod(
    name="frugal",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "density": DENSITY,
            "every": EVERY,
            "beta1": BETA1,
            "beta2": BETA2,
            "inactive": INACTIVE,
            "eps": 1e-8,
        },
        reference=reference,
        state_size=state_size,
        shared=("density", "every"),
        from_recipe=("eps",),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
)

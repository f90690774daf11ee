"""Muon (Jordan et al. 2024) for hidden matrices, and AdamW for everything else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving, zeros
from windtunnel.optimizers.orthogonal import COEFFICIENTS, STEPS, orthogonalise, precision_of
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# Of the matrices, with Nesterov's correction: Jordan's and torch's. It is not the recipe's beta1,
# which AdamW keeps: the best values of the two differ.
MOMENTUM = 0.95
# Root mean square of an update, as AdamW's have it (Liu et al. 2025, section 2.2).
SIZE = 0.2


def matched_factor(shape: tuple[int, ...], size: float = SIZE) -> float:
    """What is put on the rate, as by torch's `match_rms_adamw`: `0.2 sqrt(max(rows, columns))`.

    Updates then have a root mean square of about 0.2, as AdamW's do, so that one learning rate
    serves both (Liu et al. 2025, arXiv 2502.16982, equation 4). It grows with width.

    Raises:
        WindtunnelError: The shape is no matrix' shape.
    """
    refuse_other_than_matrices(shape)
    return size * math.sqrt(max(shape))


def original_factor(shape: tuple[int, ...]) -> float:
    """What torch's Muon puts on the rate by default: `sqrt(max(1, rows / columns))`.

    Raises:
        WindtunnelError: The shape is no matrix' shape.
    """
    refuse_other_than_matrices(shape)
    return math.sqrt(max(1.0, shape[0] / shape[1]))


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """One moving mean, of zeros."""
    return {"mean": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (factor * orthogonal(m looking one step ahead) + weight_decay * w)`.

    Decay goes without the factor, here as in torch.
    """
    lr, momentum = settings["lr"], settings["momentum"]
    mean = moving(state["mean"], gradient, momentum)
    direction = orthogonalise(
        moving(gradient, mean, 1 - momentum),
        eps=settings["eps"],
        dtype=precision_of(gradient),
        coefficients=(settings["first"], settings["third"], settings["fifth"]),
        steps=settings["iterations"],
    )
    factor = matched_factor(tuple(parameter.shape[-2:]), settings["size"])
    decayed = parameter * (1 - lr * settings["weight_decay"])
    return decayed - lr * factor * direction, {"mean": mean}


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """The quintic applied to the singular values themselves."""
    weight, mean = start.copy(), np.zeros_like(start)
    for gradient in gradients:
        mean = 0.95 * mean + 0.05 * gradient
        ahead = 0.05 * gradient + 0.95 * mean
        left, values, right = np.linalg.svd(ahead, full_matrices=False)
        values = values / max(np.sqrt((ahead**2).sum()), 1e-8)
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        direction = 0.2 * np.sqrt(max(start.shape)) * (left * values) @ right
        weight -= lr * (direction + weight_decay * weight)
    return weight


# Stacked experts and convolutions have more than two dimensions; a plan gives them to AdamW.
MUON = OptimizerMethod(
    name="muon",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=update,
        begin=begin,
        reference=reference,
        state_size=elements,
        constants={
            "momentum": MOMENTUM,
            "eps": 1e-8,
            "size": SIZE,
            "first": COEFFICIENTS[0],
            "third": COEFFICIENTS[1],
            "fifth": COEFFICIENTS[2],
            "iterations": STEPS,
        },
        shared=("first", "third", "fifth", "iterations"),
        from_recipe=("eps",),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
    own_factor=matched_factor,
)

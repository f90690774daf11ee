"""AuON and hybrid AuON (Maity 2025, arXiv 2509.24320): a norm in the place of orthogonalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving, zeros
from windtunnel.optimizers.muon import original_factor
from windtunnel.optimizers.orthogonal import COEFFICIENTS, orthogonalise, precision_of
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# As in the authors' file of October 2025 (ryyzn9/AuON, auon/optimizer.py), which agrees with public
# summaries of the paper. Their package of January 2026 leaves the momentum's own norm in, so that
# AuON is momentum without any normalisation, and puts no factor on a shape.
MOMENTUM = 0.95
LEAST_NORM = 1e-7
LEAST_ROOT = 1e-8
ITERATIONS = 1  # of Newton and Schulz', in the hybrid: the paper's abstract has one


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """One moving mean, of zeros."""
    return {"mean": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (factor * z / r + weight_decay * w)`, z being the momentum over its own norm.

    r is the root mean square of cosh(z). Entries of z are about `1 / sqrt(size)`, so r is 1 but for
    a few parts in ten thousand, and what is left is momentum of one length.
    """
    mean = moving(state["mean"], gradient, settings["momentum"])
    ahead = moving(gradient, mean, 1 - settings["momentum"])
    return _stepped(parameter, _unit(ahead, settings), settings), {"mean": mean}


def update_hybrid(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """The same, the momentum taken once through Muon's iteration before."""
    mean = moving(state["mean"], gradient, settings["momentum"])
    ahead = moving(gradient, mean, 1 - settings["momentum"])
    nearer = orthogonalise(
        ahead,
        eps=settings["least_norm"],
        dtype=precision_of(gradient),
        coefficients=(settings["first"], settings["third"], settings["fifth"]),
        steps=settings["iterations"],
    ).to(parameter.dtype)
    return _stepped(parameter, _unit(nearer, settings), settings), {"mean": mean}


def _unit(matrix: Tensor, settings: Settings) -> Tensor:
    import torch

    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    unit: Tensor = matrix / (norm + settings["least_norm"])
    return unit


def _stepped(parameter: Tensor, unit: Tensor, settings: Settings) -> Tensor:
    root = unit.cosh().square().mean((-2, -1), keepdim=True).sqrt()
    factor = original_factor((int(parameter.shape[-2]), int(parameter.shape[-1])))
    lr = settings["lr"]
    decayed = parameter * (1 - lr * settings["weight_decay"])
    updated: Tensor = decayed - lr * factor * unit / (root + settings["least_root"])
    return updated


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """Exponentials for the cosines."""
    return _reference(start, gradients, lr, weight_decay, iterations=0)


def reference_hybrid(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """The quintic applied to the singular values themselves."""
    return _reference(start, gradients, lr, weight_decay, iterations=1)


def _reference(
    start: Floats, gradients: Floats, lr: float, weight_decay: float, iterations: int
) -> Floats:
    weight, mean = start.copy(), np.zeros_like(start)
    for gradient in gradients:
        mean = 0.95 * mean + 0.05 * gradient
        ahead = 0.05 * gradient + 0.95 * mean
        if iterations:
            left, values, right = np.linalg.svd(ahead, full_matrices=False)
            values = values / max(np.sqrt((ahead**2).sum()), 1e-7)
            ahead = (left * (3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5)) @ right
        unit = ahead / (np.sqrt((ahead**2).sum()) + 1e-7)
        root = np.sqrt((((np.exp(unit) + np.exp(-unit)) / 2) ** 2).mean())
        factor = np.sqrt(max(1.0, start.shape[0] / start.shape[1]))
        weight -= lr * (factor * unit / (root + 1e-8) + weight_decay * weight)
    return weight


_CONSTANTS = {"momentum": MOMENTUM, "least_norm": LEAST_NORM, "least_root": LEAST_ROOT}

# A gradient of low rank has singular values of order one after the division, however wide the
# matrix; so it is scaled as Muon's, whose factor on a shape it has as well. One of full rank has
# smaller ones, and updates that shrink as the matrix widens: see the coordinate check.
AUON = OptimizerMethod(
    name="auon",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants=_CONSTANTS,
        reference=reference,
        state_size=elements,
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
    own_factor=original_factor,
)
HYBRID_AUON = OptimizerMethod(
    name="hybrid-auon",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=update_hybrid,
        begin=begin,
        constants={
            **_CONSTANTS,
            "first": COEFFICIENTS[0],
            "third": COEFFICIENTS[1],
            "fifth": COEFFICIENTS[2],
            "iterations": ITERATIONS,
        },
        reference=reference_hybrid,
        state_size=elements,
        shared=("first", "third", "fifth", "iterations"),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
    own_factor=original_factor,
)

"""AdaMuon (Si et al. 2025, arXiv 2507.11005, algorithm 1): Muon, then a second moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving, zeros
from windtunnel.optimizers.muon import matched_factor
from windtunnel.optimizers.orthogonal import COEFFICIENTS, STEPS, orthogonalise, precision_of
from windtunnel.optimizers.update_rule import At, UpdateRule, two_moments
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# As in the authors' code (Chongjie-Si/AdaMuon), which has one decay for both means.
MOMENTUM = 0.95
SIZE = 0.2  # root mean square of every update, as AdamW's have it
LEAST_ROOT = LEAST_NORM = 1e-8
ITERATION_EPS = 1e-7  # under the Frobenius norm; of signs, which is never small


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Moving means of the gradient and of the direction's square, of zeros."""
    return {"mean": zeros(parameter), "square": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (size * o / rms(o) + weight_decay * w)`.

    o is the orthogonalised *sign* of the momentum, over the root of its own moving mean square.
    Nothing is free of its bias: what all entries share goes with the norm. So the first step is as
    long in every entry, and it takes some twenty until entries differ.
    """
    import torch

    momentum = settings["momentum"]
    mean = moving(state["mean"], gradient, momentum)
    ahead = moving(gradient, mean, 1 - momentum)
    direction = orthogonalise(
        ahead.sign(),
        eps=ITERATION_EPS,
        dtype=precision_of(gradient),
        coefficients=(settings["first"], settings["third"], settings["fifth"]),
        steps=settings["iterations"],
    ).to(parameter.dtype)
    square = moving(state["square"], direction * direction, momentum)
    direction = direction / (square.sqrt() + settings["least_root"])
    norm = torch.linalg.matrix_norm(direction, keepdim=True) + settings["least_norm"]
    whole = (parameter.shape[-2] * parameter.shape[-1]) ** 0.5
    lr = settings["lr"]
    decayed = parameter * (1 - lr * settings["weight_decay"])
    updated = decayed - lr * settings["size"] * whole * direction / norm
    return updated, {"mean": mean, "square": square}


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """The quintic applied to the singular values themselves."""
    weight, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for gradient in gradients:
        mean = 0.95 * mean + 0.05 * gradient
        signs = np.sign(0.05 * gradient + 0.95 * mean)
        left, values, right = np.linalg.svd(signs, full_matrices=False)
        values = values / np.sqrt((signs**2).sum())
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        direction = (left * values) @ right
        square = 0.95 * square + 0.05 * direction**2
        direction = direction / (np.sqrt(square) + 1e-8)
        size = 0.2 * np.sqrt(start.size) / (np.sqrt((direction**2).sum()) + 1e-8)
        weight -= lr * (size * direction + weight_decay * weight)
    return weight


# Updates have one root mean square whatever the shape, as AdamW's, and arXiv 2512.05620 scales
# their rates as AdamW's. But they stay near orthogonal, and of two matrices with one root mean
# square the orthogonal one does sqrt(width) times less: under AdamW's rates the coordinate check
# fails (an update's effect shrinks as width^-0.4 to -0.6, measured here), under Muon's it passes.
ADAMUON = OptimizerMethod(
    name="adamuon",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "momentum": MOMENTUM,
            "size": SIZE,
            "least_root": LEAST_ROOT,
            "least_norm": LEAST_NORM,
            "first": COEFFICIENTS[0],
            "third": COEFFICIENTS[1],
            "fifth": COEFFICIENTS[2],
            "iterations": STEPS,
        },
        reference=reference,
        state_size=two_moments,
        shared=("first", "third", "fifth", "iterations"),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
    own_factor=matched_factor,
)

"""Dion (Ahn et al. 2025, arXiv 2504.05295): an orthonormal update of low rank, error fed back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices, standard_normal, widened
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# All as in the authors' code (microsoft/dion), whose rate is 0.01.
MOMENTUM = 0.95
RANK_FRACTION = 1.0
LEAST_NORM = 1e-8  # of a column


def own_factor(shape: tuple[int, ...]) -> float:
    """What is put on the rate: `sqrt(rows / columns)`, so that widths share one rate.

    Raises:
        WindtunnelError: The shape is no matrix' shape.
    """
    refuse_other_than_matrices(shape)
    return math.sqrt(shape[0] / shape[1])


def rank_of(shape: tuple[int, ...], fraction: float = RANK_FRACTION) -> int:
    """Rank of an update: a fraction of the shorter side, rounded up."""
    return min(math.ceil(fraction * min(shape)), *shape)


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """A buffer of zeros, and a basis that is drawn: the same for all members of a population."""
    wide = widened(parameter)
    shape = (int(wide.shape[-2]), int(wide.shape[-1]))
    drawn = standard_normal((min(shape), rank_of(shape, settings["rank_fraction"])), at.number)
    basis = drawn.to(wide).expand(*wide.shape[:-2], *drawn.shape).clone()
    return {"buffer": wide.new_zeros(wide.shape), "basis": basis}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (sqrt(rows / columns) * p @ q.T + weight_decay * w)`.

    One step of power iteration from the last basis gives p and q, of which p is orthonormal and
    q has columns of length one. Of the buffer only what they capture decays: the rest is fed back.
    """
    import torch

    buffer = state["buffer"] + widened(gradient)
    wide = parameter.shape[-2] < parameter.shape[-1]
    tall = buffer.mT if wide else buffer
    left = torch.linalg.qr(tall @ state["basis"]).Q
    right = tall.mT @ left
    rest = tall - (1 - settings["momentum"]) * left @ right.mT
    norms = torch.linalg.vector_norm(right, dim=-2, keepdim=True)
    # Nothing to follow yet: no step, and the basis that was drawn.
    silent = (norms == 0).all(-1, keepdim=True)
    basis = torch.where(silent, state["basis"], right / (norms + settings["least_norm"]))
    direction = torch.where(silent, 0.0, left @ basis.mT)
    lr = settings["lr"]
    factor = own_factor((int(parameter.shape[-2]), int(parameter.shape[-1])))
    decayed = parameter * (1 - lr * settings["weight_decay"])
    updated = decayed - lr * factor * (direction.mT if wide else direction)
    return updated, {"buffer": rest.mT if wide else rest, "basis": basis}


def state_size(shape: tuple[int, ...]) -> int:
    """The buffer and the basis, at full rank."""
    return elements(shape) + min(shape) * rank_of(shape)


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """With orthonormal columns by Gram and Schmidt, on the tall side."""
    rows, columns = start.shape
    if rows < columns:
        flipped = gradients.transpose(0, 2, 1)
        return _tall(start.T.copy(), flipped, lr * np.sqrt(rows / columns), lr * weight_decay).T
    return _tall(start.copy(), gradients, lr * np.sqrt(rows / columns), lr * weight_decay)


def _tall(weight: Floats, gradients: Floats, step: float, decay: float) -> Floats:
    columns = weight.shape[1]
    buffer, q = np.zeros_like(weight), standard_normal((columns, columns), 0).numpy()
    for gradient in gradients:
        buffer = buffer + gradient
        p = np.zeros_like(weight)
        for number, column in enumerate((buffer @ q).T):
            rest = column.copy()
            for _ in range(2):  # once loses orthogonality to rounding
                rest -= p @ (p.T @ rest)
            p[:, number] = rest / np.sqrt(rest @ rest)
        r = buffer.T @ p
        buffer = buffer - (1 - 0.95) * p @ r.T
        q = r / (np.sqrt((r**2).sum(axis=0)) + 1e-8)
        weight = (1 - decay) * weight - step * p @ q.T
    return weight


# Tables, readout and vectors are AdamW's, as in the authors' runs.
DION = OptimizerMethod(
    name="dion",
    geometry=Geometry.ORTHOGONAL,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "momentum": MOMENTUM,
            "rank_fraction": RANK_FRACTION,
            "least_norm": LEAST_NORM,
        },
        reference=reference,
        state_size=state_size,
        shared=("rank_fraction",),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
    own_factor=own_factor,
)

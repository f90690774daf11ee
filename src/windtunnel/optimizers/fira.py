"""Fira (Chen et al. 2024, arXiv 2410.01623, algorithm 1): full rank on a low rank's memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices, widened
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving
from windtunnel.optimizers.update_rule import At, UpdateRule
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# As in the authors' code (xichen-fy/Fira) and its script for 60M parameters: rank 128 of 512. Only
# epsilon is the recipe's, 1e-8, so that plans can scale it; theirs is 1e-6.
RANK_FRACTION = 0.25
EVERY = 200  # steps from one subspace to the next
SCALE = 0.25  # of the part in the subspace
BETA1, BETA2 = 0.9, 0.999
GROWTH = 1.01  # of the rest's norm, from one step to the next at most
LEAST_NORM = 1e-8  # of a row


def rank_of(shape: tuple[int, ...], fraction: float = RANK_FRACTION) -> int:
    """Rank of the subspace: a fraction of the shorter side, rounded up."""
    return math.ceil(fraction * min(shape))


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Moments in the subspace, the subspace, and the norm of the rest: all unknown yet."""
    wide = widened(parameter)
    rows, columns = int(wide.shape[-2]), int(wide.shape[-1])
    leading, rank = wide.shape[:-2], rank_of((rows, columns), settings["rank_fraction"])
    inside = (*leading, max(rows, columns), rank)
    return {
        "first": wide.new_zeros(inside),
        "second": wide.new_zeros(inside),
        "subspace": wide.new_zeros((*leading, rank, min(rows, columns))),
        "rest_norm": wide.new_zeros((*leading, 1, 1)),
    }


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """Adam in the subspace; beside it the rest of the gradient, scaled row by row as Adam did.

    What the rest is: the authors' code subtracts the part in the subspace times `scale`, and so
    leaves most of it in at 0.25; here it is subtracted whole, as the paper has it. The moments stay
    as they are when the subspace changes.
    """
    import torch

    flipped = gradient.shape[-2] < gradient.shape[-1]
    tall = widened(gradient.mT if flipped else gradient)
    rank = state["first"].shape[-1]
    subspace = state["subspace"]
    if (at.step - 1) % int(settings["every"]) == 0:
        subspace = _signed(torch.linalg.svd(tall, full_matrices=False).Vh[..., :rank, :])
    inside = tall @ subspace.mT
    first = moving(state["first"], inside, settings["beta1"])
    second = moving(state["second"], inside * inside, settings["beta2"])
    normalised = first / (second.sqrt() + settings["eps"])
    lengths = torch.linalg.vector_norm(inside, dim=-1, keepdim=True) + settings["least_norm"]
    scaling = torch.linalg.vector_norm(normalised, dim=-1, keepdim=True) / lengths
    rest = scaling * (tall - inside @ subspace)
    norm = torch.linalg.matrix_norm(rest, keepdim=True)
    if at.step > 1:
        most = settings["growth"] * state["rest_norm"]
        rest = torch.where(norm > most, rest * (most / norm), rest)
        norm = torch.minimum(norm, most)
    direction = settings["scale"] * normalised @ subspace + rest
    lr, beta1, beta2 = settings["lr"], settings["beta1"], settings["beta2"]
    debiased = (1 - beta2**at.step) ** 0.5 / (1 - beta1**at.step)
    updated = parameter - lr * debiased * (direction.mT if flipped else direction)
    after = {"first": first, "second": second, "subspace": subspace, "rest_norm": norm}
    return updated * (1 - lr * settings["weight_decay"]), after


def _signed(vectors: Tensor) -> Tensor:
    """Rows with their largest entry positive: libraries give either sign, moments keep one."""
    largest = vectors.abs().argmax(-1, keepdim=True)
    signed: Tensor = vectors * vectors.take_along_dim(largest, -1).sign()
    return signed


def state_size(shape: tuple[int, ...]) -> int:
    """Two moments, the subspace and a norm."""
    return rank_of(shape) * (2 * max(shape) + min(shape)) + 1


def reference(
    start: Floats, gradients: Floats, *, lr: float, weight_decay: float, every: int = 200
) -> Floats:
    """Row by row of the long side, with the subspace from the gradient's Gram matrix."""
    if start.shape[0] < start.shape[1]:
        flipped = gradients.transpose(0, 2, 1)
        return reference(start.T, flipped, lr=lr, weight_decay=weight_decay, every=every).T
    weight, columns = start.copy(), start.shape[1]
    rank = -(-columns // 4)
    mean, square = np.zeros((len(start), rank)), np.zeros((len(start), rank))
    before = np.inf
    vectors = np.zeros((rank, columns))
    for step, gradient in enumerate(gradients):
        if step % every == 0:
            vectors = np.linalg.eigh(gradient.T @ gradient).eigenvectors[:, ::-1][:, :rank].T
            vectors = np.array([row * np.sign(row[np.abs(row).argmax()]) for row in vectors])
        inside, rest = gradient @ vectors.T, gradient - gradient @ vectors.T @ vectors
        mean, square = 0.9 * mean + 0.1 * inside, 0.999 * square + 0.001 * inside**2
        adam = mean / (np.sqrt(square) + 1e-8)
        for row in range(len(start)):
            length = np.sqrt((inside[row] ** 2).sum()) + 1e-8
            rest[row] *= np.sqrt((adam[row] ** 2).sum()) / length
        norm = np.sqrt((rest**2).sum())
        if norm > 1.01 * before:
            rest, norm = rest * 1.01 * before / norm, 1.01 * before
        before = norm
        debiased = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        weight -= lr * debiased * (0.25 * adam @ vectors + rest)
        weight *= 1 - lr * weight_decay
    return weight


# A row of the update is as long as a row of Adam's in a subspace whose rank grows with the width,
# so rates go as AdamW's. Tables, readout and vectors are AdamW's, as in the authors' runs.
FIRA = OptimizerMethod(
    name="fira",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "rank_fraction": RANK_FRACTION,
            "every": EVERY,
            "scale": SCALE,
            "beta1": BETA1,
            "beta2": BETA2,
            "eps": 1e-8,
            "growth": GROWTH,
            "least_norm": LEAST_NORM,
        },
        reference=reference,
        state_size=state_size,
        shared=("rank_fraction", "every"),
        from_recipe=("eps",),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
)

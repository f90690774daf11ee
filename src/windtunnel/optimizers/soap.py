"""SOAP (Vyas et al. 2024, arXiv 2409.11321, algorithm 3): Adam in Shampoo's eigenbasis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.matrices import refuse_other_than_matrices, widened
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# All as in the authors' code (nikhilvyas/SOAP), whose rate is 3e-3.
BETA1 = BETA2 = BETA_SIDES = 0.95
EVERY = 10  # Adam steps from one basis to the next
LARGEST = 10_000  # a longer side keeps its own axes


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Moments in the basis, the two sides' moving means, and their bases, which aren't known yet.

    All in float32 at least: eigenvectors need it.
    """
    wide = widened(parameter)
    state = {"first": wide.new_zeros(wide.shape), "second": wide.new_zeros(wide.shape)}
    for side, axis in (("left", -2), ("right", -1)):
        size = wide.shape[axis]
        if size <= LARGEST:
            shape = (*wide.shape[:-2], size, size)
            state[side] = wide.new_zeros(shape)
            state[f"{side}_basis"] = wide.new_zeros(shape)
    return state


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """One step of Adam in the basis; then decay, the sides' means, and now and then a new basis.

    The first gradient only makes the bases. A gradient enters them after its own step, so that
    it isn't divided by itself.
    """
    weight, gradient = widened(parameter), widened(gradient)
    after = dict(state)
    taken = at.step - 1
    if taken > 0:
        rotated = _turn(gradient, state, into=True)
        after["first"] = moving(state["first"], rotated, settings["beta1"])
        after["second"] = moving(state["second"], rotated * rotated, settings["beta2"])
        lr = settings["lr"]
        debiased = (1 - settings["beta2"] ** taken) ** 0.5 / (1 - settings["beta1"] ** taken)
        direction = after["first"] / (after["second"].sqrt() + settings["eps"])
        weight = weight - lr * debiased * _turn(direction, state, into=False)
        weight = weight * (1 - lr * settings["weight_decay"])
    for side, square in (("left", gradient @ gradient.mT), ("right", gradient.mT @ gradient)):
        if side in state:
            after[side] = moving(state[side], square, settings["beta_sides"])
    if taken == 0:
        rank = min(gradient.shape[-2:])
        after |= {
            f"{s}_basis": _eigenvectors(after[s], rank) for s in ("left", "right") if s in state
        }
    elif taken % settings["every"] == 0:
        after = _refreshed(after)
    return weight, after


def _turn(matrix: Tensor, state: State, *, into: bool) -> Tensor:
    """Into the basis, or out of it."""
    if "left" in state:
        basis = state["left_basis"]
        matrix = (basis.mT if into else basis) @ matrix
    if "right" in state:
        basis = state["right_basis"]
        matrix = matrix @ (basis if into else basis.mT)
    return matrix


def _eigenvectors(square: Tensor, rank: int) -> Tensor:
    """Largest eigenvalue first.

    Where one gradient has reached nothing any basis is one of eigenvectors. The authors' is what
    a library happens to give; completing the others by reflections makes it a function of them.
    """
    import torch

    vectors = torch.linalg.eigh(square).eigenvectors.flip(-1)[..., :rank]
    whole: Tensor = torch.linalg.qr(vectors, mode="complete").Q
    return whole


def _refreshed(state: State) -> State:
    """One step of power iteration from the old bases, the mean turned along.

    The second moment isn't turned, but follows where a basis' vectors change places.
    """
    import torch

    after = dict(state)
    first = _turn(state["first"], state, into=False)
    for side, axis in (("left", -2), ("right", -1)):
        if side not in state:
            continue
        basis, square = state[f"{side}_basis"], state[side]
        values = (basis * (square @ basis)).sum(-2)
        order = values.argsort(-1, descending=True)
        basis = basis.take_along_dim(order.unsqueeze(-2), -1)
        along = order.unsqueeze(-1) if axis == -2 else order.unsqueeze(-2)
        after["second"] = after["second"].take_along_dim(along, axis)
        after[f"{side}_basis"] = torch.linalg.qr(square @ basis).Q
    after["first"] = _turn(first, after, into=True)
    return after


def state_size(shape: tuple[int, ...]) -> int:
    """Two moments, and of each side the mean and its basis."""
    return 2 * elements(shape) + 2 * sum(side * side for side in shape if side <= LARGEST)


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """With the bases as singular vectors of the first gradient."""
    weight = start.copy()
    rows, columns = start.shape
    left, right = np.zeros((rows, rows)), np.zeros((columns, columns))
    mean, square = np.zeros(start.shape), np.zeros(start.shape)
    u = v = np.zeros((0, 0))
    for step, gradient in enumerate(gradients):
        if step > 0:
            turned = u.T @ gradient @ v
            mean = 0.95 * mean + 0.05 * turned
            square = 0.95 * square + 0.05 * turned**2
            size = lr * np.sqrt(1 - 0.95**step) / (1 - 0.95**step)
            weight -= size * u @ (mean / (np.sqrt(square) + 1e-8)) @ v.T
            weight -= lr * weight_decay * weight
        left = 0.95 * left + 0.05 * gradient @ gradient.T
        right = 0.95 * right + 0.05 * gradient.T @ gradient
        if step == 0:
            left_vectors, _, right_vectors = np.linalg.svd(gradient, full_matrices=False)
            u = np.linalg.qr(left_vectors, mode="complete").Q
            v = np.linalg.qr(right_vectors.T, mode="complete").Q
        elif step % 10 == 0:
            mean = u @ mean @ v.T
            by_left = np.argsort([-column @ left @ column for column in u.T], kind="stable")
            by_right = np.argsort([-column @ right @ column for column in v.T], kind="stable")
            square = square[by_left][:, by_right]
            u = np.linalg.qr(left @ u[:, by_left]).Q
            v = np.linalg.qr(right @ v[:, by_right]).Q
            mean = u.T @ mean @ v
    return weight


# Published rates go as sqrt(fan_out / fan_in) (arXiv 2512.05620), for a step that is as long in
# every direction. Under these the coordinate check fails: after 5 and after 12 steps the effect of
# a step grows as width^0.7 to width^1.4 (measured here); under AdamW's rates it passes. The authors
# step vectors by Adam and tables on their short side; here all but hidden matrices are AdamW's.
SOAP = OptimizerMethod(
    name="soap",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "beta1": BETA1,
            "beta2": BETA2,
            "beta_sides": BETA_SIDES,
            "eps": 1e-8,
            "every": EVERY,
        },
        reference=reference,
        state_size=state_size,
        shared=("every",),
        from_recipe=("eps",),
        elementwise=False,
        check=refuse_other_than_matrices,
    ),
    elsewhere=ADAMW,
)

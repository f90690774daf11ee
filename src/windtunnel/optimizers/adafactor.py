"""Adafactor (Shazeer and Stern 2018, arXiv 1804.04235, algorithms 4, 5), as torch computes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import zeros
from windtunnel.optimizers.update_rule import At, UpdateRule, elements
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

# Root mean square of a parameter below which updates stop being relative to it; what starts at
# zero starts to move by this. The paper's epsilon_2, and torch's default. A plan scales it as it
# does the parameter: left alone, a readout that starts at zero learns faster the wider it is.
LEAST_PARAMETER_RMS = 1e-3
# The square root of the second moment is held above the first epsilon and the moment's row mean
# above the same number. 1e-18 squared is still a float32.
_LEAST_ROW_MEAN = 1e-18
DECAY_POWER = 0.8  # of the step, by which the second moment's decay comes near one
CLIP = 1.0  # largest root mean square of an update


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Means of the squared gradient: of every row and column, or of every entry of a vector."""
    if len(at.axes) < 2:
        return {"square": zeros(parameter)}
    return {
        "rows": parameter.new_zeros((*parameter.shape[:-1], 1)),
        "columns": parameter.new_zeros((*parameter.shape[:-2], 1, parameter.shape[-1])),
    }


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * rms(w) * u + lr * weight_decay * w`, with u clipped to a root mean square of one.

    There is no first moment, so neither beta is used; beta2 is `1 - step ** -0.8`. Updates are
    relative in every tensor, vectors too. The rate is held below `1 / sqrt(step)`: one above
    `1 / sqrt(steps)` is not the one that was asked for, and does not transfer.
    """
    import torch

    floor, least = settings["floor"], settings["least_size"]
    share = at.step ** -settings["decay_power"]
    after: State
    if "square" in state:
        estimate = state["square"] + (gradient * gradient - state["square"]) * share
        after = {"square": estimate}
    else:
        rows, columns = (
            state[name] + (_mean_square(gradient, (axis,)) - state[name]) * share
            for name, axis in (("rows", -1), ("columns", -2))
        )
        after = {"rows": rows, "columns": columns}
        estimate = rows / _at_least(rows.mean(-2, keepdim=True), floor) * columns
    direction = gradient * _at_least(estimate, floor * floor).rsqrt()
    clipped = _at_least(_rms(direction, at) / settings["clip"], 1.0)
    lr = settings["lr"]
    exact = torch.float64
    limit = torch.as_tensor(at.step**-0.5, dtype=exact)
    rate = torch.minimum(torch.as_tensor(lr, dtype=exact).to(limit), limit).to(parameter)
    rate = rate * _at_least(_rms(parameter, at), least)
    decayed = parameter * (1 - lr * settings["weight_decay"])
    return decayed.addcmul(direction, rate / clipped, value=-1), after


def _rms(tensor: Tensor, at: At) -> Tensor:
    return _mean_square(tensor, at.axes).sqrt() if at.axes else tensor.abs()


def _mean_square(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Through a norm, which makes no tensor of squares."""
    import torch

    count = math.prod(tensor.shape[axis] for axis in axes)
    norm = torch.linalg.vector_norm(tensor, dim=axes, keepdim=True)
    squared: Tensor = norm.square() / count
    return squared


def _at_least(tensor: Tensor, least: Any) -> Tensor:
    import torch

    return torch.maximum(tensor, torch.as_tensor(least, dtype=torch.float64).to(tensor))


def state_size(shape: tuple[int, ...]) -> int:
    """A number a row and one a column, or one an entry of a vector."""
    if len(shape) < 2:
        return elements(shape)
    return elements(shape) // shape[-1] + elements(shape) // shape[-2]


def with_sizes(param_groups: list[dict[str, Any]], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups with the least numbers that the rule wants.

    Args:
        param_groups: Their `eps`, where there is one, is the recipe's times the plan's factor,
            which is for the least size of a parameter.
        recipe: Its epsilon is for the second moment.
    """
    return [
        {key: value for key, value in group.items() if key != "eps"}
        | {"floor": pair[0], "least_size": pair[1]}
        if (pair := group.get("eps"))
        else group
        for group in with_pairs(param_groups, recipe)
    ]


def with_pairs(param_groups: list[dict[str, Any]], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups with the pair of epsilons that torch's own class wants.

    The first is the least row mean of a squared gradient, the second the least size of a parameter.

    Args:
        param_groups: Their `eps`, where there is one, is the recipe's times the plan's factor,
            which is for the second.
        recipe: Its epsilon is for the first.
    """
    first = max(recipe.eps * recipe.eps, _LEAST_ROW_MEAN)
    return [
        {**group, "eps": (first, LEAST_PARAMETER_RMS * (group["eps"] / recipe.eps))}
        if "eps" in group
        else group
        for group in param_groups
    ]


def epsilon_at_base(geometry: Geometry, recipe: Recipe) -> float:
    """What a plan's epsilon is a factor on: the recipe's, or the least size of a parameter."""
    return LEAST_PARAMETER_RMS if geometry is Geometry.RELATIVE else recipe.eps


def reference(start: Floats, gradients: Floats, *, lr: float, weight_decay: float) -> Floats:
    """The factored moment is linear, so the whole moving mean is kept and factored each time."""
    weight, square = start.copy(), np.zeros_like(start)
    for step, gradient in enumerate(gradients, start=1):
        square = square + (gradient**2 - square) / step**0.8
        estimate = square
        if square.ndim > 1:
            rows = square.mean(-1, keepdims=True)
            row_mean = np.maximum(rows.mean(-2, keepdims=True), 1e-16)
            estimate = rows * square.mean(-2, keepdims=True) / row_mean
        direction = gradient / np.maximum(np.sqrt(estimate), 1e-16)
        direction = direction / max(1.0, np.sqrt((direction**2).mean()))
        rate = min(lr, step**-0.5) * max(1e-3, np.sqrt((weight**2).mean()))
        weight = weight * (1 - lr * weight_decay) - rate * direction
    return weight


ADAFACTOR = OptimizerMethod(
    name="adafactor",
    geometry=Geometry.RELATIVE,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "floor": 1e-16,
            "least_size": LEAST_PARAMETER_RMS,
            "decay_power": DECAY_POWER,
            "clip": CLIP,
        },
        reference=reference,
        state_size=state_size,
        elementwise=False,
    ),
    prepare=with_sizes,
)

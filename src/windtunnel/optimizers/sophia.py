"""Sophia (Liu et al. 2023, arXiv 2305.14342, algorithm 3): clipped steps over a curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.moving import moving, zeros
from windtunnel.optimizers.update_rule import At, Signal, UpdateRule, two_moments
from windtunnel.scale import Geometry, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.optimizers.update_rule import Floats, Settings, State

BETA1, BETA2 = 0.965, 0.99
EVERY = 10  # steps from one look at the curvature to the next
# With sampled labels, as the class in the authors' code (Liuhong99/Sophia) has it; their rate is
# rho times the paper's, and comparable with Lion's. 0.03 to 0.08 in their runs.
RHO = 0.04
LEAST_DIVISOR = 1e-15
# With Hessian-vector products, as in stanford-crfm/levanter.
GAMMA = 0.01
LEAST_CURVATURE = 1e-12


def begin(parameter: Tensor, settings: Settings, at: At) -> State:
    """Moving means of the gradient and of the curvature, of zeros."""
    return {"mean": zeros(parameter), "curvature": zeros(parameter)}


def update(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (clip(m / (rho * predictions * h), -1, 1) + weight_decay * w)`.

    h is the moving mean of the squared gradient against labels that the model drew itself: times
    the predictions in a batch it estimates the curvature. Neither mean is free of its bias. Until
    the first look every entry's step has the length of the rate: a warm-up hides that.
    """
    mean = moving(state["mean"], gradient, settings["beta1"])
    predictions = settings["batch_units"]
    divisor = settings["rho"] * predictions * state["curvature"] + settings["least_divisor"]
    lr = settings["lr"]
    decayed = parameter * (1 - lr * settings["weight_decay"])
    return decayed - lr * (mean / divisor).clamp(-1.0, 1.0), {**state, "mean": mean}


def observe(state: State, signal: Tensor, settings: Settings) -> State:
    """Take a gradient against drawn labels into the curvature's mean."""
    return {**state, "curvature": moving(state["curvature"], signal * signal, settings["beta2"])}


def update_with_products(
    parameter: Tensor, gradient: Tensor, state: State, settings: Settings, at: At
) -> tuple[Tensor, State]:
    """`w -= lr * (clip(m / max(gamma * h, least), -1, 1) + weight_decay * w)`, m free of its bias.

    h is the moving mean of `v * (H v)` for normal v: the Hessian's diagonal. Where it is negative
    the step has the length of the rate.
    """
    mean = moving(state["mean"], gradient, settings["beta1"])
    debiased = mean / (1 - settings["beta1"] ** at.step)
    least = settings["least_curvature"]
    above = settings["gamma"] * state["curvature"] - least
    divisor = above.clamp(min=0.0) + least
    lr = settings["lr"]
    direction = (debiased / divisor).clamp(-1.0, 1.0) + settings["weight_decay"] * parameter
    return parameter - lr * direction, {**state, "mean": mean}


def observe_products(state: State, signal: Tensor, settings: Settings) -> State:
    """Take `v * (H v)` into the curvature's mean."""
    return {**state, "curvature": moving(state["curvature"], signal, settings["beta2"])}


def with_rho(param_groups: list[dict[str, Any]], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups in which rho follows the gradient's size; see `_by_epsilon`."""
    return _by_epsilon(param_groups, recipe, "rho", RHO)


def with_gamma(param_groups: list[dict[str, Any]], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups in which gamma follows the gradient's size; see `_by_epsilon`."""
    return _by_epsilon(param_groups, recipe, "gamma", GAMMA)


def _by_epsilon(
    param_groups: list[dict[str, Any]], recipe: Recipe, name: str, default: float
) -> list[dict[str, Any]]:
    """Divide a setting by what a plan multiplies epsilon with.

    A curvature is of the size of a squared gradient, so the share of steps that are clipped stays
    as it is if its factor goes as one over the gradient, which a plan's epsilon follows. This is
    derived here, not published.
    """
    value = dict(recipe.optimizer_settings).get(name, default)
    return [
        {**group, name: value * recipe.eps / group["eps"]} if "eps" in group else group
        for group in param_groups
    ]


def reference(
    start: Floats,
    gradients: Floats,
    *,
    lr: float,
    weight_decay: float,
    signals: Floats,
    batch_units: float = 1,
) -> Floats:
    """Entry by entry."""
    weight = start.copy()
    for place in np.ndindex(weight.shape):
        mean = curvature = 0.0
        for step, gradient in enumerate(gradients[:, *place], start=1):
            mean = 0.965 * mean + 0.035 * gradient
            weight[place] *= 1 - lr * weight_decay
            newton = abs(mean) / (0.04 * batch_units * curvature + 1e-15)
            weight[place] -= lr * np.sign(mean) * min(1.0, newton)
            if step % 10 == 0:
                seen = signals[step // 10 - 1][place]
                curvature = 0.99 * curvature + 0.01 * seen**2
    return weight


def reference_with_products(
    start: Floats, gradients: Floats, *, lr: float, weight_decay: float, signals: Floats
) -> Floats:
    """Entry by entry."""
    weight = start.copy()
    for place in np.ndindex(weight.shape):
        mean = curvature = 0.0
        for step, gradient in enumerate(gradients[:, *place], start=1):
            mean = 0.965 * mean + 0.035 * gradient
            newton = mean / (1 - 0.965**step) / max(0.01 * curvature, 1e-12)
            weight[place] -= lr * (min(max(newton, -1.0), 1.0) + weight_decay * weight[place])
            if step % 10 == 0:
                curvature = 0.99 * curvature + 0.01 * signals[step // 10 - 1][place]
    return weight


SOPHIA_G = OptimizerMethod(
    name="sophia-g",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update,
        begin=begin,
        constants={
            "beta1": BETA1,
            "beta2": BETA2,
            "rho": RHO,
            "least_divisor": LEAST_DIVISOR,
            "batch_units": 1,
        },
        reference=reference,
        state_size=two_moments,
        from_recipe=("batch_units",),
        signal=Signal("sampled-labels", EVERY, observe),
    ),
    prepare=with_rho,
)
SOPHIA_H = OptimizerMethod(
    name="sophia-h",
    geometry=Geometry.SIGN,
    rule=UpdateRule(
        update=update_with_products,
        begin=begin,
        constants={
            "beta1": BETA1,
            "beta2": BETA2,
            "gamma": GAMMA,
            "least_curvature": LEAST_CURVATURE,
        },
        reference=reference_with_products,
        state_size=two_moments,
        signal=Signal("hessian-vector", EVERY, observe_products),
    ),
    prepare=with_gamma,
)

"""What every trainer needs of a plan: an optimizer that keeps its rates, and a schedule."""

from __future__ import annotations

import functools

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from windtunnel.optimizers import optimizer_method
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.lambda_lr import lambda_lr
from windtunnel.parametrization.plan import Plan
from windtunnel.parametrization.rates import guard_rates
from windtunnel.scale import Recipe
from windtunnel.schedules import recipe_multiplier


def planned_optimizer(model: nn.Module, plan: Plan, recipe: Recipe) -> Optimizer:
    """The plan's optimizer over the plan's groups, whose rates nothing may flatten.

    As in our own loop, gains, biases and scalars aren't decayed.

    Args:
        model: At the plan's target, wrapped or not.
        plan: Its plan.
        recipe: Hyperparameters at base.

    Raises:
        WindtunnelError: The model and the plan don't match; the message names the parameter.
    """
    groups = param_groups(
        model,
        plan,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        eps=recipe.eps,
        decay_vectors=False,
    )
    optimizer = optimizer_method(plan.optimizer).build(groups, recipe)
    guard_rates(optimizer)
    return optimizer


def planned_schedule(optimizer: Optimizer, recipe: Recipe, steps: int) -> LambdaLR:
    """The recipe's schedule over so many optimizer steps; step it once after each of them."""
    return lambda_lr(optimizer, functools.partial(recipe_multiplier, recipe), steps)

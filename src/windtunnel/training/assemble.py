"""From a run's description to what trains: model, plan and optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from windtunnel.models.family import Family
from windtunnel.optimizers import optimizer_method
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import Plan, plan
from windtunnel.parametrization.rule import load_rule
from windtunnel.scale import Run


@dataclass(frozen=True, slots=True)
class Trainee:
    """A model ready to train.

    Attributes:
        model: On its device, initialised as the plan says.
        plan: How the run's rule sets every parameter at the run's scale.
        optimizer: Over the plan's parameter groups.
        peak_rates: Learning rate of each group before the schedule multiplies it.
        called: What a step calls: the model, or torch's DDP around it.
    """

    model: nn.Module
    plan: Plan
    optimizer: Optimizer
    peak_rates: tuple[float, ...]
    called: nn.Module


def assemble(
    run: Run,
    family: Family,
    device: torch.device,
    spread: Callable[[nn.Module], nn.Module] = lambda model: model,
) -> Trainee:
    """Build the run's model and optimizer; the same on every call, drawn on the CPU.

    Args:
        run: What is to be trained.
        family: Its family.
        device: Where the model goes.
        spread: Cuts or copies the model in place and gives what a step calls; see
            `windtunnel.training.spread`.

    Raises:
        WindtunnelError: The rule can't place a parameter, or a name in the run is unknown.
    """
    resolved = planned(run, family)
    model = drawn(run, family, resolved)
    model.to(device).train()
    called = spread(model)
    optimizer = optimizer_method(run.optimizer).build(grouped(run, model, resolved), run.recipe)
    rates = tuple(float(group["lr"]) for group in optimizer.param_groups)
    return Trainee(model, resolved, optimizer, rates, called)


def planned(run: Run, family: Family) -> Plan:
    """The plan of the run's rule at the run's scale.

    Raises:
        WindtunnelError: The rule can't place a parameter, or a name in the run is unknown.
    """
    return plan(family, run.base, run.scale, load_rule(run.rule, run.rule_content), run.optimizer)


def drawn(run: Run, family: Family, resolved: Plan) -> nn.Module:
    """The run's model on the CPU, as its seed and plan draw it."""
    torch.manual_seed(run.init_seed)
    model = family.build(run.scale)
    apply_(model, resolved, family=family, init_seed=run.init_seed)
    return model


def grouped(run: Run, model: nn.Module, resolved: Plan) -> list[dict[str, Any]]:
    """The model's parameter groups with the recipe's settings, scaled by the plan."""
    recipe = run.recipe
    return param_groups(
        model,
        resolved,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        eps=recipe.eps,
        decay_vectors=False,
    )

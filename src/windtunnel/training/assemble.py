"""From a run's description to what trains: model, plan and optimizer."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    model: nn.Module
    plan: Plan
    optimizer: Optimizer
    peak_rates: tuple[float, ...]


def assemble(run: Run, family: Family, device: torch.device) -> Trainee:
    """Build the run's model and optimizer; the same on every call, drawn on the CPU.

    Raises:
        WindtunnelError: The rule can't place a parameter, or a name in the run is unknown.
    """
    torch.manual_seed(run.init_seed)
    model = family.build(run.scale)
    rule = load_rule(run.rule, run.rule_content)
    resolved = plan(family, run.base, run.scale, rule, run.optimizer)
    apply_(model, resolved, family=family, init_seed=run.init_seed)
    model.to(device).train()
    recipe = run.recipe
    groups = param_groups(
        model,
        resolved,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        eps=recipe.eps,
        decay_vectors=False,
    )
    optimizer = optimizer_method(run.optimizer).build(groups, recipe)
    rates = tuple(float(group["lr"]) for group in optimizer.param_groups)
    return Trainee(model, resolved, optimizer, rates)

"""What a model's modules put out, and how that changes, over a few optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer as TorchOptimizer

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.optimizers import method_of, optimizer_names
from windtunnel.parametrization.apply import apply_
from windtunnel.parametrization.expectations import moved_multipliers, own_updates
from windtunnel.parametrization.groups import param_groups
from windtunnel.parametrization.plan import Plan
from windtunnel.parametrization.slopes import Key
from windtunnel.parametrization.watch import Watch
from windtunnel.scale import Recipe

if TYPE_CHECKING:
    from windtunnel.parametrization.plan import Optimizer


def record(
    family: Family,
    plan: Plan,
    *,
    batch: Any,
    lr: float,
    seed: int,
    steps: int,
    optimizer: Optimizer | None = None,
) -> dict[Key, float]:
    """Train for a few steps on one batch and measure every module's output before each.

    Measured are modules that hold parameters themselves, the declared residual blocks, and the
    whole model's output. Weight decay and clipping are off, so that updates are the optimizer's.
    What the model draws at random while it runs (dropout, noise) is the same at every step.

    A module whose multiplier lies elsewhere in the rule's own gauge (a residual branch's after it,
    a tied head's in the final norm) is measured without it.

    Returns:
        Root mean squares: of the output ("activation", from step 0), of its difference from step
        0 ("update", from step 1), and of what the module's own weights have changed in it ("own
        update", at the last step): its output less what its first weights would make of the same
        input, over what the rule expects. Zeros are left out.
    """
    model, updater = prepare(family, plan, lr=lr, seed=seed, optimizer=optimizer)
    multipliers = moved_multipliers(plan, family.declarations)
    expected = own_updates(plan, family.declarations)
    watch = Watch(model, family.declarations.blocks)
    first: dict[str, Tensor] = {}
    measured: dict[Key, float] = {}
    for step in range(steps + 1):
        watch.begin(own_updates=step == steps)
        with seeded(seed):
            loss = family.loss(model, batch)
        for name, output in watch.outputs.items():
            output = output / multipliers.get(name, 1.0)
            measured[name, "activation", step] = root_mean_square(output)
            if step == 0:
                first[name] = output
            elif name in first and first[name].shape == output.shape:
                measured[name, "update", step] = root_mean_square(output - first[name])
        for name, change in watch.own_updates.items():
            measured[name, "own update", step] = root_mean_square(change) / expected.get(name, 1.0)
        if step < steps:
            updater.zero_grad()
            torch.autograd.backward(loss)
            updater.step()
    return {key: value for key, value in measured.items() if value != 0.0}


def prepare(
    family: Family, plan: Plan, *, lr: float, seed: int, optimizer: Optimizer | None = None
) -> tuple[nn.Module, TorchOptimizer]:
    """Build the model as the plan says, and the optimizer with its groups, without decay.

    The optimizer is the one that the plan names, or else the one given here.

    Raises:
        WindtunnelError: The family and the plan don't match, or the optimizer can't be built.
    """
    with seeded(seed):
        model = family.build(plan.target)
    apply_(model, plan, family=family, init_seed=seed)
    if optimizer is None and plan.optimizer not in optimizer_names():
        raise WindtunnelError(
            f"optimizer: the plan was made for '{plan.optimizer}'; pass its class as optimizer= too"
        )
    method = method_of(plan.optimizer if optimizer is None else optimizer)
    groups = param_groups(model, plan, lr=lr)
    return model, method.build(groups, Recipe(lr=lr, batch_units=1, weight_decay=0.0))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from this seed inside, on every device, and go on as before afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def root_mean_square(tensor: Tensor) -> float:
    """Root mean square of all entries, added up in double precision."""
    norm = torch.linalg.vector_norm(tensor, dtype=torch.float64)
    return float(norm) / math.sqrt(tensor.numel())

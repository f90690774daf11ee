"""Refuse a scheduler that sets absolute rates: it would undo what a plan sets per group."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from windtunnel.errors import WindtunnelError

# Multiplying schedulers keep ratios to rounding, some of which adds up over a million steps. A
# floor under the rates (eta_min) shows beyond this in the first steps of a run.
_ROUNDING = 1e-9
_ROUNDING_OF_TENSORS = 1e-4  # rates held as float32 tensors


def guard_rates(optimizer: Optimizer) -> RemovableHandle:
    """Watch that the groups' learning rates keep their ratios, at every step of the optimizer.

    A plan gives each group a rate of its own, so a schedule must multiply them all alike: LambdaLR,
    LinearLR, StepLR, or CosineAnnealingLR with eta_min=0. One that sets or bounds rates as
    absolute values (OneCycleLR with a single max_lr, eta_min or min_lr above 0, CyclicLR,
    `group["lr"] = ...`) flattens the groups without a word. With this guard the next step fails
    before it changes a parameter. With one group there is nothing to lose, and nothing is refused.

    Args:
        optimizer: Any torch optimizer, before a scheduler is made for it.

    Returns:
        A handle; its `remove()` ends the watch.

    Raises:
        WindtunnelError: A scheduler was made before, which may have changed the rates already.
    """
    if any("initial_lr" in group for group in optimizer.param_groups):
        raise WindtunnelError(
            "guard_rates: this optimizer already has a scheduler, which may have changed its "
            "rates; call guard_rates(optimizer) before the scheduler is made"
        )
    planned = [float(group["lr"]) for group in optimizer.param_groups]

    def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        _refuse_other_ratios(optimizer, planned)

    return optimizer.register_step_pre_hook(before_step)


def _refuse_other_ratios(optimizer: Optimizer, planned: list[float]) -> None:
    groups = optimizer.param_groups
    if len(groups) != len(planned):
        raise WindtunnelError(
            f"guard_rates: the optimizer has {len(groups)} groups and had {len(planned)}; call "
            "guard_rates(optimizer) after the last add_param_group"
        )
    rates = [float(group["lr"]) for group in groups]
    held = any(isinstance(group["lr"], torch.Tensor) for group in groups)
    largest = max(range(len(planned)), key=lambda index: abs(planned[index]))
    for index, (rate, plan) in enumerate(zip(rates, planned, strict=True)):
        # Cross-multiplied: rates, and planned ones too, may be zero.
        here, there = rate * planned[largest], rates[largest] * plan
        allowed = _ROUNDING_OF_TENSORS if held else _ROUNDING
        if abs(here - there) > allowed * max(abs(here), abs(there)):
            raise WindtunnelError(
                f"learning rates: group {index} is at {rate:.3g} and group {largest} at "
                f"{rates[largest]:.3g}, where the plan has {plan:.3g} and {planned[largest]:.3g}; "
                "a scheduler or the loop set or bounded rates as absolute values. Multiply them "
                "all alike: LambdaLR(optimizer, step -> multiplier), with eta_min and min_lr at 0 "
                "and, for OneCycleLR, max_lr=[group['lr'] for group in optimizer.param_groups]"
            )

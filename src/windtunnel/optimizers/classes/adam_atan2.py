"""The update of Adam-atan2 and the torch optimizer around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# Everett et al. leave the two constants open. These are those of the widely used implementation
# (lucidrains, adam-atan2-pytorch): SCALE is 4 / pi, so that equal moments give a step of one.
SCALE = 1.27
RATIO = 1.0


@torch.no_grad()
def adam_atan2_(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    *,
    step: float,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
) -> None:
    """Take one step in place: `w -= lr * (SCALE * atan2(m, RATIO * sqrt(v)) + weight_decay * w)`.

    It is elementwise, so a leading axis of many models changes nothing. A gradient that is scaled
    by any factor gives the same step, until its square underflows.

    Args:
        parameter: Updated.
        gradient: Of the parameter's shape.
        first: Moving mean of the gradient, updated; zeros at first.
        second: Moving mean of its square, updated; zeros at first.
        step: Number of this step, from 1.
        lr: Learning rate.
        beta1: Decay of `first`.
        beta2: Decay of `second`.
        weight_decay: Coupled, as torch's AdamW has it.
    """
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    mean = first / (1 - beta1**step)
    root = (second / (1 - beta2**step)).sqrt_().mul_(RATIO)
    parameter.mul_(1 - lr * weight_decay)
    parameter.add_(torch.atan2(mean, root), alpha=-lr * SCALE)


class AdamAtan2(Optimizer):
    """Adam-atan2 over parameter groups; an epsilon in a group has no effect.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        betas: Decay of the two moments.
        weight_decay: Coupled with the rate.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
    ) -> None:
        """Keep the defaults; state is made at the first step."""
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Update every parameter that has a gradient; the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            # On the CPU wherever the parameter is: reading it doesn't wait for a GPU.
            state["step"] = torch.tensor(0.0)
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
        state["step"] += 1
        assert parameter.grad is not None, "asked for parameters that have a gradient only"
        adam_atan2_(
            parameter,
            parameter.grad,
            state["first"],
            state["second"],
            step=state["step"].item(),
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
        )

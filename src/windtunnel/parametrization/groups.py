"""What an optimizer and gradient clipping need from a plan."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.parametrization.match import match
from windtunnel.parametrization.plan import Plan
from windtunnel.scale import Role


def param_groups(
    model: nn.Module,
    plan: Plan,
    *,
    lr: float,
    weight_decay: float = 0.0,
    eps: float = 1e-8,
    decay_vectors: bool = True,
) -> list[dict[str, Any]]:
    """Parameter groups for torch's AdamW (or Adam): as few as there are distinct settings.

    At base with the defaults there is one group, with exactly the values given, so that training
    goes on bit for bit as it did without a plan. Scale rates with a schedule that multiplies
    (`LambdaLR`); one that sets an absolute rate would flatten the groups.

    Args:
        model: The model at the plan's target, wrapped or not.
        plan: What `windtunnel.plan` returned for it.
        lr: Peak learning rate at base.
        weight_decay: Coupled weight decay at base.
        eps: Adam's epsilon at base; torch's own default.
        decay_vectors: Whether gains, biases and scalars are decayed too, as torch does.

    Returns:
        Dictionaries with `params`, `lr`, `weight_decay` and `eps`.

    Raises:
        WindtunnelError: The model and the plan don't match; the message names the parameter.
    """
    groups: dict[tuple[float, float, float], list[nn.Parameter]] = {}
    for entry, parameter in match(model, plan):
        decayed = decay_vectors or entry.role not in (Role.VECTOR, Role.SCALAR)
        decay = weight_decay * entry.weight_decay if decayed else 0.0
        groups.setdefault((lr * entry.lr, decay, eps * entry.eps), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay, "eps": epsilon}
        for (rate, decay, epsilon), parameters in groups.items()
    ]


@torch.no_grad()
def clip_gradients_(model: nn.Module, plan: Plan, max_norm: float) -> Tensor:
    """Scale all gradients by one factor so that their norm, in the rule's gauge, is in bounds.

    The global norm changes when forward multipliers move into the weights, so each gradient is
    first seen as the rule's own gauge would have it. Where no multiplier was moved this equals
    `torch.nn.utils.clip_grad_norm_`, bit for bit.

    Args:
        model: The model, after `backward`.
        plan: Its plan.
        max_norm: Largest global norm; 0 measures and scales nothing.

    Returns:
        The norm before clipping, a scalar tensor on the gradients' device.

    Raises:
        WindtunnelError: The model and the plan don't match; the message names the parameter.
    """
    placed: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[float]]] = {}
    for entry, parameter in match(model, plan):
        if parameter.grad is not None:
            key = (parameter.grad.device, parameter.grad.dtype)
            gradients, gauges = placed.setdefault(key, ([], []))
            gradients.append(parameter.grad)
            gauges.append(entry.gauge)
    if not placed:
        return torch.tensor(0.0)
    first = next(iter(placed))[0]
    norms = [norm.to(first) for kept in placed.values() for norm in _norms(*kept)]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    if max_norm > 0:
        # As torch has it, the 1e-6 and the multiplication by one included: no synchronisation.
        coefficient = torch.clamp(max_norm / (total + 1e-6), max=1.0)
        for gradients, _ in placed.values():
            torch._foreach_mul_(gradients, coefficient.to(gradients[0].device))
    return total


def _norms(gradients: list[Tensor], gauges: list[float]) -> list[Tensor]:
    """Each gradient's norm in the rule's own gauge."""
    norms = list(torch._foreach_norm(gradients))
    if any(gauge != 1.0 for gauge in gauges):
        torch._foreach_mul_(norms, gauges)
    return norms

"""What an optimizer and gradient clipping need from a plan."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.match import match
from windtunnel.parametrization.plan import ParameterPlan, Plan
from windtunnel.scale import Geometry, Role
from windtunnel.shards import is_sharded, local


def param_groups(
    model: nn.Module,
    plan: Plan,
    *,
    lr: float,
    weight_decay: float | None = 0.0,
    eps: float | tuple[float | None, float] | None = 1e-8,
    decay_vectors: bool = True,
    part: bool = False,
) -> list[dict[str, Any]]:
    """Parameter groups for any torch optimizer: as few as there are distinct settings.

    At base with the defaults there is one group, with exactly the values given, so that training
    goes on bit for bit as it did without a plan. Scale rates with a schedule that multiplies
    (`LambdaLR`); one that sets an absolute rate would flatten the groups, and `guard_rates`
    refuses it.

    Args:
        model: The model at the plan's target, wrapped or not.
        plan: What `windtunnel.plan` returned for it.
        lr: Peak learning rate at base.
        weight_decay: Weight decay at base, coupled as in torch's AdamW; None for an optimizer
            that has none.
        eps: Adam's epsilon at base; torch's own default. None for an optimizer that has none. For
            torch's Adafactor its pair, such as `(None, 1e-3)`: the second follows the parameter.
        decay_vectors: Whether gains, biases and scalars are decayed too, as torch does.
        part: Whether the model is a part of the one that the plan is for, such as a pipeline
            stage, so that some of the plan's parameters may be missing.

    Returns:
        Dictionaries with `params`, `lr`, and `weight_decay` and `eps` where they are not None.
        Where the plan is for an optimizer of two methods (Muon's matrices and AdamW's rest, say)
        no group mixes them, and each has its `method` by name.

    Raises:
        WindtunnelError: The model and the plan don't match; the message names the parameter. Or
            `eps` is a pair and the plan isn't for Adafactor.
    """
    several = len({entry.method for entry in plan}) > 1
    groups: dict[tuple[tuple[str, Any], ...], list[nn.Parameter]] = {}
    for entry, parameter in match(model, plan, part=part):
        settings: dict[str, Any] = {"lr": lr * entry.lr}
        if weight_decay is not None:
            decayed = decay_vectors or entry.role not in (Role.VECTOR, Role.SCALAR)
            settings["weight_decay"] = weight_decay * entry.weight_decay if decayed else 0.0
        if eps is not None:
            settings["eps"] = _epsilon(eps, entry)
        if several:
            settings["method"] = entry.method
        groups.setdefault(tuple(settings.items()), []).append(parameter)
    return [{"params": parameters, **dict(settings)} for settings, parameters in groups.items()]


def _epsilon(
    eps: float | tuple[float | None, float], entry: ParameterPlan
) -> float | tuple[float | None, float]:
    if not isinstance(eps, tuple):
        return eps * entry.eps
    if entry.geometry is not Geometry.RELATIVE:
        raise WindtunnelError(
            f"param_groups: eps is a pair, as Adafactor's, and {entry.name} is planned for "
            f"{entry.geometry} updates; give one number, or plan with optimizer='adafactor'"
        )
    beside_gradient, least_size = eps
    return beside_gradient, least_size * entry.eps


@torch.no_grad()
def clip_gradients_(model: nn.Module, plan: Plan, max_norm: float) -> Tensor:
    """Scale all gradients by one factor so that their norm, in the rule's gauge, is in bounds.

    The global norm changes when forward multipliers move into the weights, so each gradient is
    first seen as the rule's own gauge would have it. Where no multiplier was moved this equals
    `torch.nn.utils.clip_grad_norm_`, bit for bit.

    Args:
        model: The model, after `backward`; whole, sharded (FSDP2) or replicated.
        plan: Its plan.
        max_norm: Largest global norm; 0 measures and scales nothing.

    Returns:
        The norm before clipping, a scalar tensor on the gradients' device.

    Raises:
        WindtunnelError: The model and the plan don't match; the message names the parameter.
    """
    placed: dict[Hashable, tuple[list[Tensor], list[float]]] = {}
    for entry, parameter in match(model, plan):
        if parameter.grad is not None:
            gradients, gauges = placed.setdefault(_place(parameter.grad), ([], []))
            gradients.append(parameter.grad)
            gauges.append(entry.gauge)
    if not placed:
        return torch.tensor(0.0)
    norms = [norm for kept in placed.values() for norm in _norms(*kept)]
    total: Tensor = torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]))
    if max_norm > 0:
        # As torch has it, the 1e-6 and the multiplication by one included: no synchronisation.
        coefficient = torch.clamp(max_norm / (total + 1e-6), max=1.0)
        for gradients, _ in placed.values():
            held = [local(gradient) for gradient in gradients]
            torch._foreach_mul_(held, coefficient.to(held[0].device))
    return total


def _place(gradient: Tensor) -> Hashable:
    """Equal for gradients that one kernel, and one message between processes, can deal with."""
    if not is_sharded(gradient):
        return gradient.device, gradient.dtype
    sharded: Any = gradient
    return gradient.device, gradient.dtype, sharded.device_mesh, sharded.placements


def _norms(gradients: list[Tensor], gauges: list[float]) -> list[Tensor]:
    """Each whole gradient's norm in the rule's own gauge, the same on all processes."""
    norms = list(torch._foreach_norm(gradients))
    if is_sharded(norms[0]):
        # Stacked first: one message for all norms.
        stacked: Any = torch.stack(norms)
        norms = list(stacked.full_tensor().unbind())
    if any(gauge != 1.0 for gauge in gauges):
        torch._foreach_mul_(norms, gauges)
    return norms

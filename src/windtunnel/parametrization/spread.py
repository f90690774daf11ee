"""How widely a family draws each parameter at base."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from windtunnel.parametrization.names import named_parameters, without_indices
from windtunnel.parametrization.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from windtunnel.models.family import Family


def initial_spread(family: Family, plan: Plan) -> dict[str, float]:
    """Standard deviation of each parameter's initialisation at the plan's base.

    The base model is built once, on the CPU, without touching the global random state.

    Args:
        family: The plan's family.
        plan: Whose base is built.

    Returns:
        By the plan's names: the root mean square of what was drawn, taken over all blocks that
        are alike; 0 for a parameter whose entries are all equal, such as a gain.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = family.build(plan.base)
    drawn = {found.names[0]: found.parameter.detach() for found in named_parameters(model)}
    alike: dict[tuple[object, ...], dict[str, Tensor]] = {}
    likeness = {}
    for entry in plan:
        key = (without_indices(entry.base_name), entry.role, entry.base_shape)
        likeness[entry.name] = key
        alike.setdefault(key, {})[entry.base_name] = drawn[entry.base_name]
    spread = {key: _spread(list(tensors.values())) for key, tensors in alike.items()}
    return {name: spread[key] for name, key in likeness.items()}


def _spread(tensors: list[Tensor]) -> float:
    if all(bool((tensor == tensor.flatten()[0]).all()) for tensor in tensors):
        return 0.0
    squares = sum(float(tensor.double().square().sum()) for tensor in tensors)
    return math.sqrt(squares / sum(tensor.numel() for tensor in tensors))

"""Set a model's initial values as a plan says, from what its own factory draws at base."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.parametrization.draws import Draw, recognise
from windtunnel.parametrization.match import match
from windtunnel.parametrization.names import named_parameters, without_indices
from windtunnel.parametrization.plan import Plan
from windtunnel.parametrization.roles import as_family
from windtunnel.scale import Scale

# Builds of the base model from which its statistics are read: enough to tell what is drawn from
# what is computed, and to know the spread of a 32 x 32 matrix to about 1 %.
_BUILDS = 4


@torch.no_grad()
def apply_(
    model: nn.Module,
    plan: Plan,
    *,
    family: Family | Callable[[int, int], nn.Module],
    init_seed: int,
) -> None:
    """Redraw every parameter, in place, as the family draws it at base, rescaled by the plan.

    At base nothing is touched: the factory's own draw stays, bit for bit. Elsewhere the base
    model is built a few times on the CPU to see how each parameter is drawn (zeros, a constant,
    uniform, normal or truncated normal), and each is drawn anew from a generator that is seeded
    by `init_seed` and its name. So models of other depths agree on the blocks they share. Calling
    this on loaded weights replaces them. Buffers are left alone.

    Args:
        model: The model at the plan's target, on the CPU or a GPU, wrapped or not.
        plan: What `windtunnel.plan` returned for it.
        family: The same family, or function `build(width, depth)`, as the plan's.
        init_seed: Seed of this initialisation.

    Raises:
        WindtunnelError: The model and the plan don't match, the model has no storage, or a
            parameter's initialisation can't be scaled; the message names the parameter.
    """
    matched = match(model, plan)
    if plan.is_identity:
        return
    for entry, parameter in matched:
        if parameter.is_meta:
            raise WindtunnelError(
                f"{entry.name}: has no storage, the model is on the meta device; call "
                "model.to_empty(device=...), tie what was tied and fill its buffers, then apply_"
            )
    recognised = _recognised(as_family(family), plan.base, plan)
    for entry, parameter in matched:
        draw = recognised[entry.base_name]
        parameter.copy_(draw.sample(entry.shape, entry.init, init_seed, entry.name))
    for table, row in _padding_rows(model).items():
        table[row].zero_()


def _recognised(family: Family, base: Scale, plan: Plan) -> dict[str, Draw]:
    """How each parameter of the base model is drawn, by its name there."""
    builds = [_base_parameters(family, base, seed) for seed in range(_BUILDS)]
    draws: dict[str, Draw] = {}
    for names in _alike(plan):
        for name in names:
            found = recognise([build[name] for build in builds])
            if isinstance(found, str):
                raise WindtunnelError(
                    f"{name}: its initialisation can't be scaled: {found}; draw it from a normal "
                    "or uniform distribution, or make it a buffer"
                )
            draws[name] = found
        together = recognise([build[name] for build in builds for name in names])
        size = builds[0][names[0]].numel() * _BUILDS
        if isinstance(together, Draw) and _same_size([draws[n] for n in names], together, size):
            draws.update(dict.fromkeys(names, together))
    return draws


def _same_size(alone: Sequence[Draw], together: Draw, size: int) -> bool:
    """Whether blocks that were looked at alone differ by no more than chance from their mean."""
    allowed = 5 * together.value / math.sqrt(2 * size)
    return all(abs(draw.value - together.value) <= allowed for draw in alone)


def _alike(plan: Plan) -> list[list[str]]:
    """Names in the base model, together where only the block differs."""
    groups: dict[tuple[object, ...], dict[str, None]] = {}
    for entry in plan:
        likeness = (without_indices(entry.base_name), entry.role, entry.base_shape)
        groups.setdefault(likeness, {})[entry.base_name] = None
    return [list(group) for group in groups.values()]


def _base_parameters(family: Family, base: Scale, seed: int) -> dict[str, Tensor]:
    """One draw of the base model's parameters, without the rows that padding keeps at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.build(base)
    values = {}
    padding = _padding_rows(model)
    for named in named_parameters(model):
        value = named.parameter.detach()
        row = padding.get(named.parameter)
        values[named.names[0]] = (
            value if row is None else torch.cat((value[:row], value[row + 1 :]))
        )
    return values


def _padding_rows(model: nn.Module) -> dict[Tensor, int]:
    """Tables with a row for padding, which torch keeps at zero."""
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag))
    return {t.weight: t.padding_idx for t in tables if t.padding_idx is not None}

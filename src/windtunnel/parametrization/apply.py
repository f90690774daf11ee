"""Set a model's initial values as a plan says, from what its own factory draws at base."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Family
from windtunnel.parametrization.draws import Draw, recognise
from windtunnel.parametrization.loaded import not_drawn_alike
from windtunnel.parametrization.match import match
from windtunnel.parametrization.names import named_parameters, without_indices
from windtunnel.parametrization.plan import Plan
from windtunnel.parametrization.roles import as_family
from windtunnel.scale import Scale
from windtunnel.shards import local, write

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
    replace: bool = False,
    part: bool = False,
) -> None:
    """Redraw every parameter, in place, as the family draws it at base, rescaled by the plan.

    At base nothing is touched: the factory's own draw stays, bit for bit. Elsewhere the base
    model is built a few times on the CPU to see how each parameter is drawn (zeros, a constant,
    uniform, normal or truncated normal), and each is drawn anew from a generator that is seeded
    by `init_seed` and its name. So models of other depths agree on the blocks they share, and a
    sharded model (FSDP2, any DTensor) on every value: each rank draws a parameter whole, one at a
    time, and keeps its shard. Buffers are left alone.

    Loaded weights are not replaced silently: a parameter whose values the family would not have
    drawn is refused. For a loaded model take `param_groups` alone.

    Args:
        model: The model at the plan's target, on the CPU or a GPU, wrapped or sharded or not.
        plan: What `windtunnel.plan` returned for it.
        family: The same family, or function `build(width, depth)`, as the plan's.
        init_seed: Seed of this initialisation.
        replace: Draw every parameter whatever it holds, at base too: after `to_empty`, say.
        part: Whether the model is a part of the one that the plan is for, such as a pipeline
            stage, so that some of the plan's parameters may be missing.

    Raises:
        WindtunnelError: The model and the plan don't match, the model has no storage, it holds
            loaded weights, or a parameter's initialisation can't be scaled; the message names the
            parameter, and nothing has been changed.
    """
    matched = match(model, plan, part=part)
    for entry, parameter in matched:
        if parameter.is_meta:
            raise WindtunnelError(
                f"{entry.name}: has no storage, the model is on the meta device; call "
                "model.to_empty(device=...), tie what was tied and fill its buffers, then apply_ "
                "with replace=True"
            )
    if plan.is_identity and not replace:
        return
    builds = _base_builds(as_family(family), plan.base)
    recognised = _recognised(builds, plan)
    padding = _padding_rows(model)
    if not replace:
        for entry, parameter in matched:
            drawn = [build[entry.base_name] for build in builds]
            _refuse_loaded(entry.name, _held(parameter, parameter in padding), drawn)
    for entry, parameter in matched:
        draw = recognised[entry.base_name]
        value = draw.sample(entry.shape, entry.init, init_seed, entry.name)
        if parameter in padding:
            value[padding[parameter]].zero_()
        write(parameter, value)


def _refuse_loaded(name: str, held: Tensor, drawn: Sequence[Tensor]) -> None:
    evidence = not_drawn_alike(held, drawn)
    if evidence is not None:
        raise WindtunnelError(
            f"{name}: holds values that the family did not draw ({evidence}). If the weights are "
            "loaded, leave apply_ out and take param_groups alone; an initialisation of your own "
            "belongs into the family's build; if the values may be lost, pass replace=True"
        )


def _held(parameter: nn.Parameter, padded: bool) -> Tensor:
    """What this process holds of a parameter, without a row that padding keeps at zero."""
    values = local(parameter.detach())
    return values[values.any(dim=1)] if padded else values


def _base_builds(family: Family, base: Scale) -> list[dict[str, Tensor]]:
    """The base model's parameters, by name, from a few seeds."""
    return [_base_parameters(family, base, seed) for seed in range(_BUILDS)]


def _recognised(builds: Sequence[dict[str, Tensor]], plan: Plan) -> dict[str, Draw]:
    """How each parameter of the base model is drawn, by its name there."""
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

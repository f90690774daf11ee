"""Hold an optimizer's present settings against a plan: what does it treat otherwise?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import nn
from torch.optim import Optimizer

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import geometry_of
from windtunnel.parametrization.comparison import (
    QUANTITIES,
    Comparison,
    Difference,
    Group,
    Values,
)
from windtunnel.parametrization.match import match
from windtunnel.parametrization.names import canonical_names, without_indices
from windtunnel.parametrization.plan import ParameterPlan, Plan
from windtunnel.scale import Role

# Settings that differ by less, in octaves, are the same: seven parts in a thousand.
_SAME_OCTAVES = 0.01


def compare_groups(
    model: nn.Module,
    plan: Plan,
    optimizer: Optimizer,
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
    eps: float | None = None,
) -> Comparison:
    """Which parameters does this optimizer treat otherwise than the plan?

    Rates are those before any scheduler's factor (`initial_lr` where a scheduler left it).
    Parameters that do not require gradients are left out.

    Args:
        model: The model at the plan's target, wrapped or not.
        plan: What `windtunnel.plan` returned for it.
        optimizer: The optimizer as it is set up now.
        lr: Learning rate at base; see `compare` for what None means.
        weight_decay: Coupled weight decay at base.
        eps: Epsilon at base.

    Raises:
        WindtunnelError: Model and plan don't match, or the optimizer lacks a parameter of the
            model or has one that the model lacks, or its updates are of another geometry than
            the plan's; the message names what is wrong.
    """
    _refuse_other_geometry(optimizer, plan)
    matched = match(model, plan)
    names = {parameter: entry.name for entry, parameter in matched}
    groups = []
    for index, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            if parameter not in names:
                raise WindtunnelError(
                    f"optimizer: group {index} has a parameter {list(parameter.shape)} that is "
                    "not the model's; make the optimizer from this model's parameters"
                )
        epsilon = group.get("eps")
        values = Values(
            # OneCycleLR begins far below its peak, and keeps that under a name of its own.
            lr=float(group.get("max_lr", group.get("initial_lr", group["lr"]))),
            weight_decay=group.get("weight_decay"),
            # Of Adafactor's two the second follows a plan.
            eps=epsilon[1] if isinstance(epsilon, tuple) else epsilon,
        )
        groups.append(Group(tuple(names[parameter] for parameter in group["params"]), values))
    trained = [entry.name for entry, parameter in matched if parameter.requires_grad]
    listed = {name for group in groups for name in group.params}
    return compare(
        plan,
        groups,
        lr=lr,
        weight_decay=weight_decay,
        eps=eps,
        only=listed.union(trained),
        place="optimizer",
    )


def compare(
    plan: Plan,
    groups: Iterable[Group],
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
    eps: float | None = None,
    only: Iterable[str] | None = None,
    place: str = "groups",
) -> Comparison:
    """Which parameters do these groups treat otherwise than the plan?

    A plan has factors, so a comparison needs values at base. Where None is given, it is the value
    that suits most of the model's entries: the differences are then between parameters, and none
    is found where all are off by the same factor. Whether vectors and scalars are decayed at all
    is the recipe's choice, so a decay of zero on them is no difference.

    What matters most comes first: how many octaves a rate is off, times the square root of the
    parameter's share of all entries. The square root, because a step whose entries are of one
    size is as long as the rate times the root of their number. Equal rates follow in the order of
    their decay, then of their epsilon.

    Args:
        plan: The plan.
        groups: All groups of an optimizer; names as any wrapper has them.
        lr: Learning rate at base.
        weight_decay: Coupled weight decay at base.
        eps: Epsilon at base.
        only: Names of the parameters that must be in a group; by default the plan's.
        place: Where the groups come from, for messages.

    Raises:
        WindtunnelError: A name is unknown, is missing or comes twice, or nothing trains.
    """
    present = _assigned(plan, list(groups), place)
    wanted = {entry.name for entry in plan} if only is None else set(only)
    _refuse_missing(wanted - set(present), place)
    entries = [(entry, present[entry.name]) for entry in plan if entry.name in present]
    rate = _common("lr", entries) if lr is None else lr
    if rate is None:
        raise WindtunnelError(f"{place}: every learning rate is 0; give those of a real run")
    base = Values(
        rate,
        _common("weight_decay", entries) if weight_decay is None else weight_decay,
        _common("eps", entries) if eps is None else eps,
    )
    total = sum(math.prod(entry.shape) for entry, _ in entries)
    rows: dict[tuple[object, ...], list[tuple[ParameterPlan, Values, Values]]] = {}
    for entry, values in entries:
        planned = _planned(entry, values, base)
        likeness = (without_indices(entry.name), entry.role, entry.shape, values, planned)
        rows.setdefault(likeness, []).append((entry, values, planned))
    differences = (_difference(row, total) for row in rows.values())
    found = [d for d in differences if any(abs(o) > _SAME_OCTAVES for o in d.octaves.values())]
    found.sort(key=lambda d: (-d.importance, *(-abs(d.octaves[q]) for q in QUANTITIES[1:])))
    return Comparison(base, len(entries), tuple(found))


def _refuse_other_geometry(optimizer: Optimizer, plan: Plan) -> None:
    """Rates for other updates are no mistake and can't be compared."""
    try:
        found = geometry_of(type(optimizer))
    except WindtunnelError:
        return  # not a class of torch's: the plan says what its updates do
    if found not in {entry.geometry for entry in plan}:
        raise WindtunnelError(
            f"optimizer: the plan is for {plan.optimizer} and this is {type(optimizer).__name__}, "
            f"whose updates are {found}; plan for it with optimizer={type(optimizer).__name__}"
        )


def _assigned(plan: Plan, groups: Sequence[Group], place: str) -> dict[str, Values]:
    """The values of each parameter, by the plan's name for it."""
    own = {name: entry.name for entry in plan for name in (entry.name, *entry.also)}
    listed = [name for group in groups for name in group.params]
    known = {
        name: own.get(name) or own.get(canonical)
        for name, canonical in zip(listed, canonical_names(listed), strict=True)
    }
    unknown = [name for name in listed if known[name] is None]
    if unknown:
        raise WindtunnelError(
            f"{place}: {_listed(unknown)}: no parameter of the plan has this name; use the names "
            "that named_parameters() gives, at the plan's scale"
        )
    assigned: dict[str, Values] = {}
    for group in groups:
        for name in group.params:
            key = str(known[name])
            if key in assigned:
                tied = f" ({name} is tied with it)" if plan[key].also else ""
                raise WindtunnelError(f"{place}: {key} comes twice{tied}; list it once")
            assigned[key] = group.values
    return assigned


def _refuse_missing(missing: set[str], place: str) -> None:
    if missing:
        raise WindtunnelError(
            f"{place}: {_listed(sorted(missing))}: in no group; list every parameter, and those "
            "that do not train in a group with lr 0"
        )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _common(quantity: str, entries: Sequence[tuple[ParameterPlan, Values]]) -> float | None:
    """The value at base that suits most: the median, parameters weighted by their entries."""
    weights: dict[float, int] = {}
    for entry, values in entries:
        present = getattr(values, quantity)
        if present is not None and (present > 0 or quantity != "lr"):
            if quantity == "weight_decay" and present == 0 and _may_be_undecayed(entry):
                continue
            at_base = present / getattr(entry, quantity)
            weights[at_base] = weights.get(at_base, 0) + math.prod(entry.shape)
    passed, half = 0, sum(weights.values()) / 2
    for value in sorted(weights):
        passed += weights[value]
        if passed >= half:
            return value
    return None


def _planned(entry: ParameterPlan, present: Values, base: Values) -> Values:
    """The plan's values, for what the optimizer has."""

    def scaled(at_base: float | None, factor: float, now: float | None) -> float | None:
        return None if at_base is None or now is None else at_base * factor

    undecayed = present.weight_decay == 0 and _may_be_undecayed(entry)
    return Values(
        lr=base.lr * entry.lr,
        weight_decay=0.0
        if undecayed
        else scaled(base.weight_decay, entry.weight_decay, present.weight_decay),
        eps=scaled(base.eps, entry.eps, present.eps),
    )


def _may_be_undecayed(entry: ParameterPlan) -> bool:
    return entry.role in (Role.VECTOR, Role.SCALAR)


def _difference(row: Sequence[tuple[ParameterPlan, Values, Values]], total: int) -> Difference:
    entry, present, planned = row[0]
    octaves = {q: _octaves(getattr(present, q), getattr(planned, q)) for q in QUANTITIES}
    share = len(row) * math.prod(entry.shape) / total
    return Difference(
        name=without_indices(entry.name) if len(row) > 1 else entry.name,
        count=len(row),
        role=entry.role,
        shape=entry.shape,
        share=share,
        present=present,
        planned=planned,
        octaves=octaves,
        importance=abs(octaves["lr"]) * math.sqrt(share),
    )


def _octaves(present: float | None, planned: float | None) -> float:
    if present is None or planned is None or present == planned:
        return 0.0
    if present == 0 or planned == 0:
        return math.inf if planned == 0 else -math.inf
    return math.log2(present / planned)

"""Match a model's parameters with a plan's entries."""

from __future__ import annotations

from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.names import NamedParameter, named_parameters
from windtunnel.parametrization.plan import ParameterPlan, Plan


def match(
    model: nn.Module, plan: Plan, *, part: bool = False
) -> list[tuple[ParameterPlan, nn.Parameter]]:
    """Each parameter of the model with its entry, in the model's own order.

    Args:
        model: The model, wrapped or not.
        plan: Its plan.
        part: Whether some of the plan's parameters may be missing, as in a pipeline stage. What
            is there must still have the plan's shapes, and be tied as in the plan.

    Raises:
        WindtunnelError: A name, a shape or a tie is in one of the two only; the message names it.
    """
    found = named_parameters(model, plan)
    matched = [(_entry(named, plan, part), named.parameter) for named in found]
    if len(matched) < len(plan.parameters) and not part:
        present = {entry.name for entry, _ in matched}
        missing = next(entry.name for entry in plan if entry.name not in present)
        raise WindtunnelError(
            f"{missing}: the plan has this parameter and the model does not; plan with the "
            "function that built the model, at the same scale (apply_ and param_groups take a "
            "part of a model, such as a pipeline stage, with part=True)"
        )
    if part and len({entry.name for entry, _ in matched}) < len(matched):
        _refuse_untied(found, matched)
    return matched


def _entry(named: NamedParameter, plan: Plan, part: bool) -> ParameterPlan:
    name = named.names[0]
    if ".parametrizations." in f".{name}":
        raise WindtunnelError(
            f"{name}: belongs to a parametrization of torch's (weight_norm, spectral_norm), which "
            "rescales what it is given, so that neither its spread nor its rate means what a rule "
            "says; take it off with torch.nn.utils.parametrize.remove_parametrizations"
        )
    entry = next((plan[n] for n in named.names if n in plan), None)
    if entry is None and part:
        entry = next((e for e in plan if name in e.also), None)
    if entry is None:
        raise WindtunnelError(
            f"{name}: the model has this parameter and the plan does not; plan with the function "
            "that built the model, at the same scale, and tie what was tied there"
        )
    if entry.also or len(named.names) > 1:
        _refuse_other_ties(entry, set(named.names), part)
    if named.parameter.shape != entry.shape:
        raise WindtunnelError(
            f"{name}: {list(named.parameter.shape)} in the model, {list(entry.shape)} in the plan; "
            "plan for the scale that the model was built at"
        )
    return entry


def _refuse_other_ties(entry: ParameterPlan, names: set[str], part: bool) -> None:
    planned = {entry.name, *entry.also}
    if names == planned or (part and names < planned):
        return
    only = "plan" if names < planned else "model"
    odd = ", ".join(sorted(names ^ planned))
    raise WindtunnelError(f"{entry.name}: tied with {odd} in the {only} alone; tie both alike")


def _refuse_untied(
    found: list[NamedParameter], matched: list[tuple[ParameterPlan, nn.Parameter]]
) -> None:
    """In a part of a model, one entry for two parameters means that a tie was lost."""
    first: dict[str, str] = {}
    for named, (entry, _) in zip(found, matched, strict=True):
        if entry.name in first:
            raise WindtunnelError(
                f"{first[entry.name]}: tied with {named.names[0]} in the plan alone; tie both alike"
            )
        first[entry.name] = named.names[0]

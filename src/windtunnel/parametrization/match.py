"""Match a model's parameters with a plan's entries."""

from __future__ import annotations

from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.names import NamedParameter, named_parameters
from windtunnel.parametrization.plan import ParameterPlan, Plan


def match(model: nn.Module, plan: Plan) -> list[tuple[ParameterPlan, nn.Parameter]]:
    """Each parameter of the model with its entry, in the model's own order.

    Raises:
        WindtunnelError: A name, a shape or a tie is in one of the two only; the message names it.
    """
    matched = [(_entry(named, plan), named.parameter) for named in named_parameters(model)]
    if len(matched) < len(plan.parameters):
        present = {entry.name for entry, _ in matched}
        missing = next(entry.name for entry in plan if entry.name not in present)
        raise WindtunnelError(
            f"{missing}: the plan has this parameter and the model does not; plan with the "
            "function that built the model, at the same scale"
        )
    return matched


def _entry(named: NamedParameter, plan: Plan) -> ParameterPlan:
    name, names = named.names[0], set(named.names)
    entry = next((plan[n] for n in named.names if n in plan), None)
    if entry is None:
        raise WindtunnelError(
            f"{name}: the model has this parameter and the plan does not; plan with the function "
            "that built the model, at the same scale, and tie what was tied there"
        )
    if names != {entry.name, *entry.also}:
        only = "model" if names > {entry.name, *entry.also} else "plan"
        odd = ", ".join(sorted(names ^ {entry.name, *entry.also}))
        raise WindtunnelError(f"{entry.name}: tied with {odd} in the {only} alone; tie both alike")
    if tuple(named.parameter.shape) != entry.shape:
        raise WindtunnelError(
            f"{name}: {list(named.parameter.shape)} in the model, {list(entry.shape)} in the plan; "
            "plan for the scale that the model was built at"
        )
    return entry

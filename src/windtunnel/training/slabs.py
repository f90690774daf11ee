"""Parameters of a population laid out so that few operations update them all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers import optimizer_method
from windtunnel.optimizers.classes.split import SplitOptimizer
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.update_rule import At, UpdateRule
from windtunnel.parametrization.match import match
from windtunnel.parametrization.plan import Plan
from windtunnel.scale import Run
from windtunnel.training.assemble import grouped


@dataclass(frozen=True, slots=True)
class Placed:
    """How one parameter of one member is updated.

    Attributes:
        rule: Its update rule.
        number: Its place among those that the rule updates.
        settings: The rule's own, `lr` (the peak) and `weight_decay`, scaled by the plan.
        gauge: Factor from its gradient to the gradient in the gauge that clipping is done in.
        initial: Its value before the first step, on the CPU.
    """

    rule: UpdateRule
    number: int
    settings: dict[str, float]
    gauge: float
    initial: Tensor


def placed(run: Run, model: nn.Module, plan: Plan) -> dict[str, Placed]:
    """How each parameter of the run's model is updated, by its name in the model.

    Raises:
        WindtunnelError: The run's optimizer has no update rule, or none for a shape.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    gauges = {parameter: entry.gauge for entry, parameter in match(model, plan)}
    found: dict[str, Placed] = {}
    for rule, groups in _by_rule(run, model, plan):
        numbered = ((group, parameter) for group in groups for parameter in group["params"])
        for number, (group, parameter) in enumerate(numbered):
            settings = {name: group[name] for name in ("lr", "weight_decay", *rule.constants)}
            found[names[parameter]] = Placed(
                rule, number, settings, gauges[parameter], parameter.detach()
            )
    return {name: found[name] for name in names.values()}


def _by_rule(
    run: Run, model: nn.Module, plan: Plan
) -> Iterator[tuple[UpdateRule, list[dict[str, Any]]]]:
    """Each rule with the groups that it updates, as the run's own optimizer has them."""
    method = optimizer_method(run.optimizer)
    optimizer = method.build(grouped(run, model, plan), run.recipe)
    parts = optimizer.parts if isinstance(optimizer, SplitOptimizer) else {method.name: optimizer}
    for name, part in parts.items():
        own = _method(method, name)
        if own.rule is None or own.rule.signal is not None:
            why = "has no update rule of ours" if own.rule is None else "looks at the curvature"
            raise WindtunnelError(
                f"population: optimizer '{own.name}' {why}, so its steps can't be taken for "
                "many runs at once; train these runs one at a time"
            )
        recipe = {setting: getattr(run.recipe, setting) for setting in own.rule.from_recipe}
        # Torch's own classes keep some of these under other names, and all of them as here.
        yield own.rule, [{**own.rule.constants, **recipe, **group} for group in part.param_groups]


@dataclass(slots=True)
class Slab:
    """Parameters that are updated as one tensor, whose first axis is the members.

    Elementwise rules take all parameters of equal settings at once, flattened side by side;
    others take each parameter in its shape.

    Attributes:
        names: The parameters.
        shapes: Their shapes in one model.
        rule: What updates them.
        at: Where, but for the step.
        values: (members, elements), or (members, *shape).
        state: The rule's state, by name.
        settings: Numbers, or tensors of shape (members, 1, ...) where members differ; `lr` is the
            peak, and always a tensor.
        gauge: Factors on gradients for the norm that is clipped, (members or 1, elements), or None
            if all are one.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    rule: UpdateRule
    at: At
    values: Tensor
    settings: dict[str, Any]
    gauge: Tensor | None
    state: dict[str, Tensor] = field(default_factory=dict)

    def parts(self, stacked: Tensor) -> dict[str, Tensor]:
        """Each parameter's part of a tensor of the shape of `values`: views, by name."""
        if stacked.ndim != 2 or len(self.names) == 1:
            members = stacked.shape[0]
            return {self.names[0]: stacked.view(members, *self.shapes[0])}
        sizes = [math.prod(shape) for shape in self.shapes]
        pieces = torch.split(stacked, sizes, dim=1)
        return {
            name: piece.view(-1, *shape)
            for name, shape, piece in zip(self.names, self.shapes, pieces, strict=True)
        }

    def parts_of_state(self, value: Tensor) -> dict[str, Tensor]:
        """Each parameter's part of a tensor of the state; rows and columns, say, are one's own."""
        return self.parts(value) if value.shape == self.values.shape else {self.names[0]: value}

    def joined(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """The parameters' gradients as one tensor of the shape of `values`."""
        members = self.values.shape[0]
        if len(self.names) == 1:
            return gradients[self.names[0]].reshape(self.values.shape)
        return torch.cat([gradients[name].reshape(members, -1) for name in self.names], dim=1)

    def select(self, kept: Tensor) -> None:
        """Keep these members, by index."""
        self.values = self.values.index_select(0, kept)
        self.state = {name: value.index_select(0, kept) for name, value in self.state.items()}
        self.settings = {
            name: value.index_select(0, kept) if isinstance(value, Tensor) else value
            for name, value in self.settings.items()
        }
        if self.gauge is not None and self.gauge.shape[0] > 1:
            self.gauge = self.gauge.index_select(0, kept)

    def member_settings(self, index: int, settings: Mapping[str, float]) -> None:
        """Give one member other settings."""
        shape = (self.values.shape[0], *(1 for _ in self.values.shape[1:]))
        for name, value in settings.items():
            held = self.settings[name]
            if not isinstance(held, Tensor):
                if held == value:
                    continue
                if name in self.rule.shared:
                    raise WindtunnelError(f"population: members have to share '{name}'")
                held = self.values.new_full(shape, held)
                self.settings[name] = held
            held[index] = value


def slabs(members: Sequence[dict[str, Placed]], device: torch.device) -> list[Slab]:
    """Lay the members' parameters out.

    Args:
        members: `placed` of each.
        device: Where they are trained.

    Raises:
        WindtunnelError: Members differ in a setting that their rule has them share.
    """
    together: dict[Any, list[str]] = {}
    for name, first in members[0].items():
        key: Any = tuple(tuple(member[name].settings.items()) for member in members)
        if not first.rule.elementwise:
            key = name
        together.setdefault((id(first.rule), key), []).append(name)
    return [_slab(names, members, device) for names in together.values()]


def _slab(names: list[str], members: Sequence[dict[str, Placed]], device: torch.device) -> Slab:
    first = members[0][names[0]]
    shapes = tuple(tuple(members[0][name].initial.shape) for name in names)
    flat = first.rule.elementwise
    rows = [
        torch.cat([member[name].initial.reshape(-1) for name in names])
        if flat
        else member[names[0]].initial
        for member in members
    ]
    values = torch.stack(rows).to(device)
    at = At(0, tuple(range(1 - values.ndim, 0)), first.number)
    slab = Slab(
        names=tuple(names),
        shapes=shapes,
        rule=first.rule,
        at=at,
        values=values,
        settings=_settings([member[names[0]] for member in members], values),
        gauge=_gauge(names, shapes, members, values),
    )
    slab.state = first.rule.begin(values, slab.settings, at)
    return slab


def _settings(members: Sequence[Placed], values: Tensor) -> dict[str, Any]:
    shape = (len(members), *(1 for _ in values.shape[1:]))
    settings: dict[str, Any] = {}
    for name in members[0].settings:
        numbers = [member.settings[name] for member in members]
        alike = all(number == numbers[0] for number in numbers)
        if name != "lr" and alike:
            settings[name] = numbers[0]
        elif name in members[0].rule.shared:
            raise WindtunnelError(f"population: members have to share '{name}', and they differ")
        else:
            settings[name] = torch.tensor(
                numbers, dtype=values.dtype, device=values.device
            ).reshape(shape)
    return settings


def _gauge(
    names: list[str],
    shapes: tuple[tuple[int, ...], ...],
    members: Sequence[dict[str, Placed]],
    values: Tensor,
) -> Tensor | None:
    gauges = [tuple(member[name].gauge for name in names) for member in members]
    if all(gauge == 1.0 for row in gauges for gauge in row):
        return None
    if len(set(gauges)) == 1:
        gauges = gauges[:1]
    sizes = torch.tensor([math.prod(shape) for shape in shapes])
    rows = torch.tensor(gauges, dtype=values.dtype)
    return rows.repeat_interleave(sizes, dim=1).to(values.device)


def _method(method: OptimizerMethod, name: str) -> OptimizerMethod:
    if method.name != name and method.elsewhere is not None:
        return _method(method.elsewhere, name)
    return method

"""The plan: a rule resolved for one model at one scale, as a table keyed by parameter name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from windtunnel.scale import Geometry, Role, Scale

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer

    from windtunnel.models.family import Declarations, Family
    from windtunnel.optimizers import OptimizerMethod
    from windtunnel.parametrization.rule import Rule

    Optimizer: TypeAlias = "str | type[TorchOptimizer] | Geometry | OptimizerMethod"


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """How one parameter is set, as factors relative to base.

    Attributes:
        name: Canonical name.
        also: Its other names, if it is tied.
        role: What it is to scaling.
        residual: Whether it is inside the residual stack.
        shape: Its shape at the target.
        base_name: The parameter of the base model that it is scaled from.
        base_shape: That one's shape.
        init: Standard deviation of the initialisation, over base's.
        lr: Learning rate, over the recipe's.
        weight_decay: Coupled weight decay, over the recipe's.
        eps: Adam's epsilon, over the recipe's. For updates relative to the parameter, the least
            size that they take it to have (Adafactor's second epsilon), over the optimizer's.
        geometry: What the optimizer's update does to its size.
        method: Name of the optimizer that updates it: of a method's two, the one or the other.
        gauge: The gradient in the gauge in which the rule clips is this times ours: the forward
            multiplier that it has there and that the weights hold here.
    """

    name: str
    also: tuple[str, ...]
    role: Role
    residual: bool
    shape: tuple[int, ...]
    base_name: str
    base_shape: tuple[int, ...]
    init: float = 1.0
    lr: float = 1.0
    weight_decay: float = 1.0
    eps: float = 1.0
    gauge: float = 1.0
    geometry: Geometry = Geometry.SIGN
    method: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A rule resolved for one model at one scale: look parameters up by canonical name.

    Attributes:
        rule: Name of the rule.
        optimizer: Name of the optimizer.
        base: Scale at which the recipe is quoted.
        target: Scale of the model that the plan is for.
        parameters: One entry a parameter, in the model's own order.
        rule_content: What the rule's file says, for a rule of the user's own; else None.
    """

    rule: str
    optimizer: str
    base: Scale
    target: Scale
    parameters: tuple[ParameterPlan, ...]
    rule_content: str | None = None
    _by_name: dict[str, ParameterPlan] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the parameters."""
        object.__setattr__(self, "_by_name", {p.name: p for p in self.parameters})

    def __getitem__(self, name: str) -> ParameterPlan:
        """The parameter's entry, by canonical name; KeyError if there is none."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is a parameter of that canonical name."""
        return name in self._by_name

    def __iter__(self) -> Iterator[ParameterPlan]:
        """The parameters, in the model's own order."""
        return iter(self.parameters)

    @property
    def is_identity(self) -> bool:
        """Whether the target is base itself, where a plan changes nothing."""
        return self.target.replace(units=self.base.units) == self.base

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal plan back."""
        own = {} if self.rule_content is None else {"rule_content": self.rule_content}
        return {
            "rule": self.rule,
            **own,
            "optimizer": self.optimizer,
            "base": dataclasses.asdict(self.base),
            "target": dataclasses.asdict(self.target),
            "parameters": [
                {**dataclasses.asdict(p), "also": list(p.also)}
                | {"role": str(p.role), "geometry": str(p.geometry)}
                | {"shape": list(p.shape), "base_shape": list(p.base_shape)}
                for p in self.parameters
            ],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Plan:
        """Rebuild a plan from `to_json`'s value."""
        return Plan(
            rule=value["rule"],
            optimizer=value["optimizer"],
            base=_scale(value["base"]),
            target=_scale(value["target"]),
            parameters=tuple(_parameter(entry) for entry in value["parameters"]),
            rule_content=value.get("rule_content"),
        )


def plan(
    family: Family | Callable[[int, int], nn.Module],
    base: Scale,
    target: Scale,
    rule: str | Rule = "mup",
    optimizer: Optimizer = "adamw",
    *,
    declarations: Declarations | None = None,
) -> Plan:
    """Resolve a rule for the model that `family` builds at `target`.

    Roles come from shapes at two widths, so nothing is allocated. At base every factor is one.
    Forward multipliers are moved into the weights, so the model itself needs no change.

    Args:
        family: A family, or a function `build(width, depth)` that works under
            `torch.device("meta")`.
        base: Scale at which the recipe is quoted.
        target: Scale of the model to be trained; smaller than base is fine.
        rule: Name in `windtunnel.parametrization.rules`, the path of a rule's own TOML file, or
            what `load_rule` made of either.
        optimizer: Name in `windtunnel.optimizers`, a `torch.optim.Optimizer` class whose geometry
            is known, or a geometry.
        declarations: What shapes can't tell; by default the family's own.

    Raises:
        WindtunnelError: A parameter can't be placed, or a rule needs a declaration; the message
            names the parameter and what to declare.
    """
    from windtunnel.optimizers import method_of
    from windtunnel.parametrization.resolve import resolve
    from windtunnel.parametrization.rule import load_rule

    method = method_of(optimizer)
    loaded = load_rule(rule) if isinstance(rule, str) else rule
    entries = resolve(family, base, target, loaded, method, declarations)
    return Plan(loaded.name, method.name, base, target, entries, loaded.content)


def _parameter(entry: dict[str, Any]) -> ParameterPlan:
    fields = dict(entry)
    for key in ("also", "shape", "base_shape"):
        fields[key] = tuple(fields[key])
    fields |= {"role": Role(entry["role"]), "geometry": Geometry(entry["geometry"])}
    return ParameterPlan(**fields)


def _scale(value: dict[str, Any]) -> Scale:
    return Scale(**{**value, "extra": tuple((name, size) for name, size in value["extra"])})

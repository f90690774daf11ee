"""Resolve a rule: match the target's parameters with base's and work out their factors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations, Family
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.parametrization.gauge import move_into_weights
from windtunnel.parametrization.names import declares, matches
from windtunnel.parametrization.plan import ParameterPlan
from windtunnel.parametrization.refusals import refuse_misfits
from windtunnel.parametrization.roles import Kind, as_family, kinds, shapes
from windtunnel.parametrization.rule import BLOCK, BRANCH, Rule, load_rule
from windtunnel.parametrization.tied import tied_head
from windtunnel.scale import NONE, Powers, Role, Scale


def resolve(
    family: Family | Callable[[int, int], nn.Module],
    base: Scale,
    target: Scale,
    rule: Rule,
    method: OptimizerMethod,
    declarations: Declarations | None,
) -> tuple[ParameterPlan, ...]:
    """The plan's entries; see `windtunnel.parametrization.plan.plan`."""
    family = as_family(family)
    declared = family.declarations if declarations is None else declarations
    at_base = kinds(family, base, declared)
    deep = base.replace(depth=target.depth)
    at_depth = at_base if deep == base else kinds(family, deep, declared)
    refuse_misfits(rule, method, declared, base, target, at_depth)
    resolver = _Resolver(rule, method, declared, base, target, tuple(at_depth))
    target_shapes = shapes(family, target)
    _refuse_strangers({kind.name for kind in at_depth}, set(target_shapes))
    return tuple(
        resolver.parameter(kind, origin, target_shapes[kind.name])
        for kind, origin in zip(at_depth, _origins(at_base, at_depth), strict=True)
    )


@dataclasses.dataclass(frozen=True)
class _Resolver:
    rule: Rule
    method: OptimizerMethod
    declared: Declarations
    base: Scale
    target: Scale
    kinds: tuple[Kind, ...]

    @property
    def _clipping(self) -> Rule:
        return self.rule if self.rule.clipping is None else load_rule(self.rule.clipping)

    def parameter(self, kind: Kind, origin: Kind, shape: tuple[int, ...]) -> ParameterPlan:
        """The entry of one parameter."""
        fan_in, fan_out = self._ratios(kind, origin, shape)
        inside = self.declared.blocks is not None and matches(self.declared.blocks, kind.name)
        method = self._method(kind)
        geometry = method.geometry
        scaling = self.rule.scaling(geometry, kind.role)
        if inside:
            scaling *= self.rule.scaling(geometry, BLOCK)
        extra = self._multiplier(kind)
        gauge = self._clipping.scaling(geometry, kind.role).multiplier * extra
        moved = move_into_weights(scaling, extra, geometry)
        depth = self.target.depth / self.base.depth
        own = self._own_factor(method, shape, origin.shape)

        def factor(powers: Powers) -> float:
            return powers.at(fan_in, fan_out, depth)

        return ParameterPlan(
            name=kind.name,
            also=kind.names[1:],
            role=kind.role,
            residual=inside,
            shape=shape,
            base_name=origin.name,
            base_shape=origin.shape,
            init=factor(moved.init),
            lr=factor(moved.lr) / own,
            weight_decay=factor(moved.weight_decay) * own,  # the decay itself is not factored
            eps=factor(moved.eps),
            gauge=factor(gauge),
            geometry=geometry,
            method=method.name,
        )

    def _method(self, kind: Kind) -> OptimizerMethod:
        """The optimizer itself for hidden matrices, the one it has elsewhere for all others."""
        elsewhere = self.method.elsewhere
        matrix = kind.role is Role.HIDDEN and len(kind.shape) == 2
        return self.method if matrix or elsewhere is None else elsewhere

    def _own_factor(
        self, method: OptimizerMethod, shape: tuple[int, ...], base_shape: tuple[int, ...]
    ) -> float:
        """What the optimizer puts on the rate itself, from base to here: not to be done twice.

        Where one rate serves all layers, it is the optimizer as it stands.
        """
        own = method.own_factor
        derived = self.rule.alignment is not None
        if own is None or not derived:
            return 1.0
        return own(shape) / own(base_shape)

    def _multiplier(self, kind: Kind) -> Powers:
        """Forward multipliers on the output of the module that holds the parameter.

        Those of the rule that belong to no role, less those that the model itself applies.
        """
        module = kind.name.rpartition(".")[0]
        multiplier = NONE
        if any(declares(pattern, kind.name) for pattern in self.declared.branch_outputs):
            multiplier *= self.rule.scaling(self.method.geometry, BRANCH).multiplier
        if any(declares(pattern, kind.name) for pattern in self.declared.queries):
            multiplier *= self._attention(kind, module)
        for pattern, own in self.declared.multipliers:
            if declares(pattern, kind.name):
                multiplier /= own
        gain = self.declared.tied_head_gain
        if gain is not None and module == gain.rpartition(".")[0]:
            # Only the gain's own dimension is known here; it is the head's fan-in.
            multiplier *= Powers(fan_out=tied_head(self.rule))
        return multiplier

    def _attention(self, kind: Kind, module: str) -> Powers:
        """What a rule puts on attention logits where heads grow, as a factor on the queries."""
        if not self.declared.head_growth:
            return NONE
        siblings = (k for k in self.kinds if k.name.rpartition(".")[0] == module)
        if all(sibling.fan_in is None for sibling in siblings):
            return Powers(fan_out=self.rule.attention)  # a norm's gain is as long as a head
        grown = self.rule.attention * self.declared.head_growth  # the rest as long as the width
        return Powers(fan_out=grown) if kind.fan_in is None else Powers(fan_in=grown)

    def _ratios(self, kind: Kind, origin: Kind, shape: tuple[int, ...]) -> tuple[float, float]:
        """Ratios of fan-in and fan-out to base's; one where there is none."""
        fixed = [a for a, g in zip(kind.shape, kind.grows, strict=True) if not g]
        fixed_here = [a for a, g in zip(shape, kind.grows, strict=True) if not g]
        if kind.shape != origin.shape or fixed != fixed_here:
            raise WindtunnelError(
                f"{kind.name}: {list(shape)} at the target does not follow from "
                f"{list(origin.shape)} at base, a dimension changes that does not grow with "
                "width; keep it fixed, or change base too"
            )
        ratios = [here / there for here, there in zip(shape, origin.shape, strict=True)]
        return tuple(1.0 if d is None else ratios[d] for d in (kind.fan_in, kind.fan_out))  # type: ignore[return-value]


def _origins(at_base: list[Kind], at_depth: list[Kind]) -> list[Kind]:
    """For each parameter the one of base that stands at the same relative place."""
    here, there = _alike(at_depth), _alike(at_base)
    for likeness, found in here.items():
        if likeness not in there:
            raise _unmatched(found[0].name, "the target", "base")
    for likeness, found in there.items():
        if likeness not in here:
            raise _unmatched(found[0].name, "base", "the target")
    place: dict[str, Kind] = {}
    for likeness, found in here.items():
        originals = there[likeness]
        for index, kind in enumerate(found):
            place[kind.name] = originals[index * len(originals) // len(found)]
    return [place[kind.name] for kind in at_depth]


def _alike(found: list[Kind]) -> dict[tuple[object, ...], list[Kind]]:
    groups: dict[tuple[object, ...], list[Kind]] = {}
    for kind in found:
        groups.setdefault(kind.likeness, []).append(kind)
    return groups


def _refuse_strangers(expected: set[str], found: set[str]) -> None:
    for name in sorted(expected ^ found):
        known, unknown = ("base width", "target width")
        if name in found:
            known, unknown = unknown, known
        raise _unmatched(name, f"the model at the {known}", f"the one at the {unknown}")


def _unmatched(name: str, present: str, absent: str) -> WindtunnelError:
    return WindtunnelError(
        f"{name}: a parameter of {present} with no counterpart in {absent}; a model may only "
        "differ in width and in the number of its blocks"
    )

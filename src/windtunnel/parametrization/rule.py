"""Parametrization rules as data: exponents of size ratios, one TOML file a rule."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.scale import NONE, Geometry, Powers, Role

BLOCK = "block"  # on top of its role, for a parameter inside the residual stack
BRANCH = "branch"  # on the output of each residual branch


@dataclass(frozen=True, slots=True)
class Scaling:
    """How one kind of parameter scales, in a rule's own gauge.

    Attributes:
        init: Standard deviation of the initialisation.
        multiplier: Forward multiplier on the layer's output.
        lr: Learning rate.
        weight_decay: Decay, coupled with the learning rate as in torch's AdamW.
        eps: What is added to the root of the second moment.
    """

    init: Powers = NONE
    multiplier: Powers = NONE
    lr: Powers = NONE
    weight_decay: Powers = NONE
    eps: Powers = NONE

    def __mul__(self, other: Scaling) -> Scaling:
        """Apply both scalings."""
        return Scaling(
            *(getattr(self, f.name) * getattr(other, f.name) for f in dataclasses.fields(Scaling))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One parametrization rule.

    Attributes:
        name: Name of its file.
        title: What people call it.
        source: The paper and table.
        status: How sure we are of it.
        scalings: By geometry, then by role, `block` or `branch`; what is missing does not scale.
    """

    name: str
    title: str
    source: str
    status: str
    scalings: dict[Geometry, dict[str, Scaling]] = field(repr=False)

    def scaling(self, geometry: Geometry, kind: Role | str) -> Scaling:
        """How a role scales, or what is added for a `block` or `branch`.

        Raises:
            WindtunnelError: The rule says nothing about this geometry.
        """
        if geometry not in self.scalings:
            known = ", ".join(self.scalings)
            raise WindtunnelError(
                f"rule: '{self.name}' has no entries for {geometry} optimizers; it has {known}"
            )
        return self.scalings[geometry].get(str(kind), Scaling())


def rule_names() -> tuple[str, ...]:
    """The rules there are, sorted."""
    names = (file.name for file in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load_rule(name: str) -> Rule:
    """Read a rule's file.

    Raises:
        WindtunnelError: There is no rule of that name.
    """
    if name not in rule_names():
        raise WindtunnelError(f"rule: no rule '{name}'; known rules: {', '.join(rule_names())}")
    content = tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    about = {key: content.pop(key) for key in ("title", "source", "status")}
    return Rule(name=name, **about, scalings=_scalings(name, content))


def _scalings(rule: str, content: dict[str, Any]) -> dict[Geometry, dict[str, Scaling]]:
    kinds = {*Role, BLOCK, BRANCH}
    scalings: dict[Geometry, dict[str, Scaling]] = {}
    for geometry, entries in content.items():
        unknown = sorted(set(entries) - kinds)
        if unknown:
            raise ValueError(f"{rule}.toml: [{geometry}.{unknown[0]}] is no role")
        scalings[Geometry(geometry)] = {
            kind: Scaling(**{key: Powers(**powers) for key, powers in entry.items()})
            for kind, entry in entries.items()
        }
    return scalings


def _folder() -> Traversable:
    return resources.files("windtunnel.parametrization") / "rules"

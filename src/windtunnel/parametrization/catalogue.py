"""The rules there are, and what one of them says, as plain values."""

from __future__ import annotations

import dataclasses
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.parametrization.horizon import RecipeRule, load_recipe_rule, recipe_rule_names
from windtunnel.parametrization.rule import BLOCK, BRANCH, Rule, Scaling, load_rule, rule_names
from windtunnel.scale import Geometry, Powers, Role


def catalogue() -> dict[str, Any]:
    """Every rule and recipe rule with its title, source and status.

    Returns:
        `rules` and `recipe_rules`, each a list sorted by name.
    """
    return {
        "rules": [_about(load_rule(name)) for name in rule_names()],
        "recipe_rules": [_about(load_recipe_rule(name)) for name in recipe_rule_names()],
    }


def rule_table(name: str) -> dict[str, Any]:
    """What one rule says, as exponents of size ratios.

    Args:
        name: A rule, a recipe rule, or the path of a rule's own TOML file.

    Returns:
        Title, source and status; for a rule also `geometries`: by geometry one row for each role,
        for what is added inside a residual `block`, and for the output of a residual `branch`,
        with `init`, `multiplier`, `lr`, `weight_decay` and `eps`. Each is a dictionary of the
        exponents that are not zero, so an empty one means that nothing follows the size; and
        `attention`, what attention logits are multiplied by where heads grow. For a recipe rule
        `powers`: by axis the exponent of each quantity.

    Raises:
        WindtunnelError: There is no rule of that name.
    """
    if name in recipe_rule_names():
        rule = load_recipe_rule(name)
        return {**_about(rule), "powers": {axis: dict(p) for axis, p in rule.powers.items()}}
    if name not in rule_names() and not name.endswith(".toml"):
        known = ", ".join((*rule_names(), *recipe_rule_names()))
        raise WindtunnelError(f"rule: no rule '{name}'; known rules: {known}")
    found = load_rule(name)
    kinds = (*Role, BLOCK, BRANCH)
    return {
        **_about(found),
        "attention": {"head_size": found.attention} if found.attention else {},
        "geometries": {
            str(geometry): [
                {"kind": str(kind), **_exponents(found.scaling(geometry, kind))} for kind in kinds
            ]
            for geometry in Geometry
        },
    }


def _about(rule: Rule | RecipeRule) -> dict[str, Any]:
    about: dict[str, Any] = {
        "name": rule.name,
        "title": rule.title,
        "source": rule.source,
        "status": rule.status,
    }
    if isinstance(rule, RecipeRule):
        about["geometries"] = [str(geometry) for geometry in rule.geometries]
    return about


def _exponents(scaling: Scaling) -> dict[str, dict[str, float]]:
    return {f.name: _nonzero(getattr(scaling, f.name)) for f in dataclasses.fields(Scaling)}


def _nonzero(powers: Powers) -> dict[str, float]:
    return {size: power for size, power in dataclasses.asdict(powers).items() if power}

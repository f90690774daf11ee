"""Recipe rules as data: how a recipe follows the batch size and the training length."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Geometry, Recipe

Axis = Literal["batch", "horizon"]

AXES: tuple[Axis, ...] = ("batch", "horizon")
# An average's memory is about 1 / (1 - beta) steps, so rules speak of 1 - beta.
QUANTITIES = ("lr", "weight_decay", "eps", "1 - beta1", "1 - beta2")
_TEXTS = ("title", "source", "status")


@dataclass(frozen=True, slots=True)
class RecipeRule:
    """One recipe rule, as its file states it.

    Attributes:
        name: Name of its file.
        title: What people call it.
        source: The paper and place.
        status: How sure we are of it.
        geometries: The optimizers it was made for.
        powers: For each axis it speaks of, the exponent of each quantity in the ratio to base.
    """

    name: str
    title: str
    source: str
    status: str
    geometries: tuple[Geometry, ...]
    powers: Mapping[Axis, Mapping[str, float]]


def recipe_at(
    recipe: Recipe, rule_name: str, *, batch_ratio: float = 1.0, horizon_ratio: float = 1.0
) -> Recipe:
    """The recipe for another batch size or training length.

    Args:
        recipe: The recipe at base; it is not changed.
        rule_name: A rule of `recipe_rule_names()`.
        batch_ratio: Batch over base's batch. The result's `batch_units` are multiplied by it.
        horizon_ratio: Training length over base's, in the study's unit.

    Returns:
        A new recipe; at ratios of 1 an equal one. An average that is off (beta 0) stays off.

    Raises:
        WindtunnelError: There is no such rule, a ratio is not positive, the rule says nothing of
            an axis that changes, the batch is no longer a whole number, or a beta would leave
            (0, 1); the message then names the limit of the ratio.
    """
    rule = load_recipe_rule(rule_name)
    ratios: dict[Axis, float] = {"batch": batch_ratio, "horizon": horizon_ratio}
    for axis, ratio in ratios.items():
        if not (math.isfinite(ratio) and ratio > 0):
            raise WindtunnelError(f"{axis}_ratio: {ratio:g} is not a positive number")
        if ratio != 1 and axis not in rule.powers:
            able = [name for name in recipe_rule_names() if axis in load_recipe_rule(name).powers]
            raise WindtunnelError(
                f"rule: '{rule_name}' says nothing of the {axis}; take {' or '.join(able)}"
            )

    def factor(quantity: str) -> float:
        return _change(ratios, {a: powers.get(quantity, 0.0) for a, powers in rule.powers.items()})

    return recipe.replace(
        lr=recipe.lr * factor("lr"),
        batch_units=_whole(recipe.batch_units, batch_ratio),
        weight_decay=recipe.weight_decay * factor("weight_decay"),
        eps=recipe.eps * factor("eps"),
        beta1=_beta(rule, "beta1", recipe.beta1, ratios),
        beta2=_beta(rule, "beta2", recipe.beta2, ratios),
    )


def recipe_rule_names() -> tuple[str, ...]:
    """The recipe rules there are, sorted."""
    names = (file.name for file in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load_recipe_rule(name: str) -> RecipeRule:
    """Read a recipe rule's file.

    Raises:
        WindtunnelError: There is no recipe rule of that name.
    """
    if name not in recipe_rule_names():
        known = ", ".join(recipe_rule_names())
        raise WindtunnelError(f"rule: no recipe rule '{name}'; known recipe rules: {known}")
    return read_recipe_rule(name, (_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def read_recipe_rule(name: str, text: str) -> RecipeRule:
    """Read a recipe rule from the text of a file.

    Raises:
        WindtunnelError: It is no recipe rule; the message says what is wrong.
    """
    try:
        content = tomllib.loads(text)
        unknown = sorted(set(content) - {*_TEXTS, "geometries", *AXES})
        if unknown:
            raise ValueError(f"'{unknown[0]}' is no entry of a recipe rule")
        return RecipeRule(
            name=name,
            **{key: _text(content, key) for key in _TEXTS},
            geometries=tuple(Geometry(geometry) for geometry in content["geometries"]),
            powers={axis: _powers(axis, content[axis]) for axis in AXES if axis in content},
        )
    except KeyError as error:
        raise WindtunnelError(f"rule {name}: {error} is missing") from error
    except (TypeError, ValueError) as error:  # TOMLDecodeError is a ValueError
        raise WindtunnelError(f"rule {name}: {error}") from error


def _text(content: Mapping[str, Any], key: str) -> str:
    if not isinstance(content[key], str):
        raise TypeError(f"'{key}' is not a text")
    return str(content[key])


def _powers(axis: Axis, entry: Any) -> dict[str, float]:
    if not isinstance(entry, dict):
        raise TypeError(f"'{axis}' is no table of exponents")
    for quantity, power in entry.items():
        if quantity not in QUANTITIES:
            raise ValueError(f"{axis}.'{quantity}' is none of {', '.join(QUANTITIES)}")
        if isinstance(power, bool) or not isinstance(power, int | float):
            raise TypeError(f"{axis}.'{quantity}' is not a number")
    return {quantity: float(power) for quantity, power in entry.items()}


def _whole(batch: int, ratio: float) -> int:
    scaled = batch * ratio
    if not math.isclose(scaled, round(scaled), rel_tol=1e-9) or round(scaled) < 1:
        raise WindtunnelError(
            f"batch_ratio: {batch:,} units times {ratio:g} is no whole number of units"
        )
    return round(scaled)


def _beta(rule: RecipeRule, name: str, beta: float, ratios: Mapping[Axis, float]) -> float:
    """Scale an average's memory; beta itself is returned untouched where nothing changes."""
    powers = {axis: rule.powers.get(axis, {}).get(f"1 - {name}", 0.0) for axis in AXES}
    change = _change(ratios, powers)
    if beta == 0 or change == 1:
        return beta
    forgotten = change * (1 - beta)
    if forgotten < 1 - 1e-12:
        return 1 - forgotten
    axis = max(AXES, key=lambda axis: powers[axis] * math.log(ratios[axis]))
    others = change / ratios[axis] ** powers[axis]
    limit = (1 / (others * (1 - beta))) ** (1 / powers[axis])
    side = "below" if powers[axis] > 0 else "above"
    raise WindtunnelError(
        f"{axis}_ratio: {ratios[axis]:g} leaves {name} = {beta:g} no memory under "
        f"'{rule.name}', it must stay between 0 and 1; keep the ratio {side} {limit:.6g}"
    )


def _change(ratios: Mapping[Axis, float], powers: Mapping[Axis, float]) -> float:
    return math.prod(float(ratios[axis] ** power) for axis, power in powers.items())


def _folder() -> Traversable:
    return resources.files("windtunnel.parametrization") / "recipe_rules"

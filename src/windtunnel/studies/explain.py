"""How every parameter is set at a scale, before anything trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe, Scale
from windtunnel.studies.study import Study

if TYPE_CHECKING:
    from windtunnel.parametrization.plan import Plan


def explain(
    study: Study,
    scale: str | None = None,
    *,
    every_block: bool = True,
    with_recipe: bool = False,
) -> dict[str, Any]:
    """The study's plan at one scale, as plain values.

    Args:
        study: An open study.
        scale: Such as `width=256,depth=4`; axes left out are the target's.
        every_block: List each block's parameters, instead of one row for all blocks alike.
        with_recipe: Give the values an optimizer is given under the study's recipe and its tuned
            rate, and the standard deviations the model is drawn with, instead of factors for base
            hyperparameters of 1.

    Raises:
        WindtunnelError: The scale can't be read, or no rate is tuned yet where it is asked for.
    """
    from windtunnel.parametrization.spread import initial_spread
    from windtunnel.parametrization.table import explanation, merged, table

    plan = plan_at(study, scale)
    if with_recipe:
        recipe = tuned_recipe(study)
        explained = explanation(plan, recipe, initial_spread(study.family, plan))
        rows = explained["parameters"]
        return explained if every_block else {**explained, "parameters": merged(rows)}
    explained = explanation(plan)
    return explained if every_block else {**explained, "parameters": table(plan)}


def plan_rows(study: Study) -> list[dict[str, Any]]:
    """The target's plan, one row for all blocks alike; none where a command sets them itself."""
    if study.spec.run is not None:
        return []
    from windtunnel.parametrization.table import table

    return table(plan_at(study))


def plan_at(study: Study, scale: str | None = None) -> Plan:
    """The study's plan at one scale, by default the target's.

    Raises:
        WindtunnelError: The scale can't be read, or the rule can't be resolved there.
    """
    from windtunnel.parametrization.plan import plan

    wanted = parse_scale(scale, study.target, study.spec.unit) if scale else study.target
    return plan(study.family, study.base, wanted, study.rule_named(), study.spec.optimizer)


def tuned_recipe(study: Study) -> Recipe:
    """The study's recipe at base, with the rate it found and whatever else it tuned.

    That is the forecast's rate; before a forecast, the one it would take.

    Raises:
        WindtunnelError: No rate is tuned yet, or its transfer isn't judged; the message names the
            command to run first.
    """
    from windtunnel.studies.forecast import transferred_lr

    found = study.read("forecast") or transferred_lr(study)
    return study.spec.recipe.recipe(lr=found["lr"]).replace(**found.get("others", {}))


def parse_scale(text: str, otherwise: Scale, unit: str) -> Scale:
    """Read `width=256,depth=4`; axes that are not named are those of `otherwise`.

    Raises:
        WindtunnelError: An axis is unknown or its size is not a positive whole number.
    """
    axes = {"width": "width", "depth": "depth", unit: "units"}
    changes: dict[str, int] = {}
    for part in text.split(","):
        axis, _, size = part.partition("=")
        axis, size = axis.strip(), size.strip().replace("_", "")
        if axis not in axes:
            raise WindtunnelError(
                f"--scale: no axis '{axis}'; write {', '.join(f'{name}=...' for name in axes)}"
            )
        if not size.isdecimal() or int(size) == 0:
            raise WindtunnelError(f"--scale {axis}: '{size}' is not a positive whole number")
        changes[axes[axis]] = int(size)
    return otherwise.replace(**changes)

"""How every parameter is set at a scale, before anything trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Scale
from windtunnel.studies.study import Study

if TYPE_CHECKING:
    from windtunnel.parametrization.plan import Plan


def explain(study: Study, scale: str | None = None, *, every_block: bool = True) -> dict[str, Any]:
    """The study's plan at one scale, as plain values for base hyperparameters of 1.

    Args:
        study: An open study.
        scale: Such as `width=256,depth=4`; axes left out are the target's.
        every_block: List each block's parameters, instead of one row for all blocks alike.
    """
    from windtunnel.parametrization.table import explanation, table

    wanted = parse_scale(scale, study.target, study.spec.unit) if scale else study.target
    plan = _plan(study, wanted)
    explained = explanation(plan)
    return explained if every_block else {**explained, "parameters": table(plan)}


def plan_rows(study: Study) -> list[dict[str, Any]]:
    """The target's plan, one row for all blocks alike."""
    from windtunnel.parametrization.table import table

    return table(_plan(study, study.target))


def _plan(study: Study, scale: Scale) -> Plan:
    from windtunnel.parametrization.plan import plan

    return plan(study.family, study.base, scale, study.spec.rule, study.spec.optimizer)


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

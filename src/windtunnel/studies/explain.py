"""How every parameter is set at a scale, before anything trains."""

from __future__ import annotations

from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Scale
from windtunnel.studies.study import Study


def explain(study: Study, scale: str | None = None) -> dict[str, Any]:
    """The study's plan at one scale, as plain values for base hyperparameters of 1.

    Args:
        study: An open study.
        scale: Such as `width=256,depth=4`; axes left out are the target's.
    """
    from windtunnel.parametrization.plan import plan
    from windtunnel.parametrization.table import explanation

    wanted = parse_scale(scale, study.target, study.spec.unit) if scale else study.target
    return explanation(
        plan(study.family, study.base, wanted, study.spec.rule, study.spec.optimizer)
    )


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

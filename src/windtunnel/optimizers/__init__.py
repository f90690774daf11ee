"""Optimizers by name. Importing this needs no torch; building an optimizer does."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.scale import Geometry

__all__ = ["OptimizerMethod", "geometry_of", "optimizer_method", "optimizer_names"]

_METHODS = {method.name: method for method in (ADAMW,)}


def optimizer_names() -> tuple[str, ...]:
    """The optimizers there are, sorted."""
    return tuple(sorted(_METHODS))


def optimizer_method(name: str) -> OptimizerMethod:
    """Look an optimizer up.

    Raises:
        WindtunnelError: There is none of that name.
    """
    if name not in _METHODS:
        known = ", ".join(optimizer_names())
        raise WindtunnelError(f"optimizer: no optimizer '{name}'; known optimizers: {known}")
    return _METHODS[name]


def geometry_of(name: str) -> Geometry:
    """What the named optimizer's updates do to sizes.

    Raises:
        WindtunnelError: There is none of that name.
    """
    return optimizer_method(name).geometry

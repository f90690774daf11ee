"""Optimizers by name. Importing this needs no torch; building an optimizer does."""

from __future__ import annotations

from windtunnel.errors import WindtunnelError
from windtunnel.optimizers.adafactor import ADAFACTOR
from windtunnel.optimizers.adam_atan2 import ADAM_ATAN2
from windtunnel.optimizers.adamuon import ADAMUON
from windtunnel.optimizers.adamw import ADAMW
from windtunnel.optimizers.auon import AUON, HYBRID_AUON
from windtunnel.optimizers.dion import DION
from windtunnel.optimizers.fira import FIRA
from windtunnel.optimizers.frugal import FRUGAL
from windtunnel.optimizers.lion import LION
from windtunnel.optimizers.lion_kappa import LION_HUBER, LION_L2, LION_NUCLEAR
from windtunnel.optimizers.method import OptimizerMethod
from windtunnel.optimizers.muon import MUON
from windtunnel.optimizers.of_a_file import method_of_a_file
from windtunnel.optimizers.sgd import SGD
from windtunnel.optimizers.soap import SOAP
from windtunnel.optimizers.sophia import SOPHIA_G, SOPHIA_H
from windtunnel.optimizers.torch_classes import torch_class
from windtunnel.optimizers.update_rule import At, UpdateRule
from windtunnel.python_file import split_name
from windtunnel.scale import Geometry

__all__ = [
    "At",
    "OptimizerMethod",
    "UpdateRule",
    "geometry_of",
    "method_of",
    "optimizer_method",
    "optimizer_names",
]

_ALL = (
    ADAFACTOR,
    ADAM_ATAN2,
    ADAMUON,
    ADAMW,
    AUON,
    DION,
    FIRA,
    FRUGAL,
    HYBRID_AUON,
    LION,
    LION_HUBER,
    LION_L2,
    LION_NUCLEAR,
    MUON,
    SGD,
    SOAP,
    SOPHIA_G,
    SOPHIA_H,
)
_METHODS = {method.name: method for method in _ALL}


def optimizer_names() -> tuple[str, ...]:
    """The optimizers there are, sorted."""
    return tuple(sorted(_METHODS))


def optimizer_method(name: str) -> OptimizerMethod:
    """Look an optimizer up.

    Args:
        name: One of `optimizer_names`, or `path/to/file.py:NAME` for one of the user's own.

    Raises:
        WindtunnelError: There is none of that name.
    """
    if split_name(name) is not None:
        return method_of_a_file(name)
    if name not in _METHODS:
        known = ", ".join(optimizer_names())
        raise WindtunnelError(f"optimizer: no optimizer '{name}'; known optimizers: {known}")
    return _METHODS[name]


def method_of(optimizer: str | type | Geometry | OptimizerMethod) -> OptimizerMethod:
    """What a plan must know of an optimizer, however it is given.

    Args:
        optimizer: A name from `optimizer_names`; a class of `torch.optim`, or one derived from
            it; the geometry that any other optimizer's updates have, in every parameter; or a
            method itself.

    Raises:
        WindtunnelError: There is none of that name, or the class' geometry isn't known.
    """
    if isinstance(optimizer, OptimizerMethod):
        return optimizer
    if isinstance(optimizer, Geometry):  # before names: a geometry is a string too
        return OptimizerMethod(name=str(optimizer), geometry=optimizer)
    if isinstance(optimizer, type):
        return torch_class(optimizer)
    return optimizer_method(optimizer)


def geometry_of(optimizer: str | type | Geometry | OptimizerMethod) -> Geometry:
    """What the optimizer's updates do to the sizes of hidden matrices; see `method_of`.

    Raises:
        WindtunnelError: There is none of that name, or the class' geometry isn't known.
    """
    return method_of(optimizer).geometry

"""Tune small, train large, and be told when you can't.

The names below are the whole Python interface. Those that need torch are imported when they are
first used, so that `import windtunnel` is quick and works without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe, Scale

if TYPE_CHECKING:
    from windtunnel.models.function import FunctionFamily
    from windtunnel.parametrization.apply import apply_
    from windtunnel.parametrization.check import check
    from windtunnel.parametrization.groups import clip_gradients_, param_groups
    from windtunnel.parametrization.plan import Plan, plan

__version__ = "0.1.0"

__all__ = [
    "FunctionFamily",
    "Plan",
    "Recipe",
    "Scale",
    "WindtunnelError",
    "__version__",
    "apply_",
    "check",
    "clip_gradients_",
    "param_groups",
    "plan",
]

_HOME = {
    "FunctionFamily": "windtunnel.models.function",
    "Plan": "windtunnel.parametrization.plan",
    "apply_": "windtunnel.parametrization.apply",
    "check": "windtunnel.parametrization.check",
    "clip_gradients_": "windtunnel.parametrization.groups",
    "param_groups": "windtunnel.parametrization.groups",
    "plan": "windtunnel.parametrization.plan",
}


if not TYPE_CHECKING:  # so that type checkers still report a misspelled name

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

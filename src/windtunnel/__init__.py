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
    from windtunnel.parametrization.branches import find_branches
    from windtunnel.parametrization.check import check, check_plans
    from windtunnel.parametrization.compare import compare_groups
    from windtunnel.parametrization.groups import clip_gradients_, param_groups
    from windtunnel.parametrization.horizon import recipe_at
    from windtunnel.parametrization.lambda_lr import lambda_lr
    from windtunnel.parametrization.plan import Plan, plan
    from windtunnel.parametrization.rates import guard_rates
    from windtunnel.search.space import Choice, Float, Int, Space
    from windtunnel.search.tune import tune

__version__ = "0.1.0"

__all__ = [
    "Choice",
    "Float",
    "FunctionFamily",
    "Int",
    "Plan",
    "Recipe",
    "Scale",
    "Space",
    "WindtunnelError",
    "__version__",
    "apply_",
    "check",
    "check_plans",
    "clip_gradients_",
    "compare_groups",
    "find_branches",
    "guard_rates",
    "lambda_lr",
    "param_groups",
    "plan",
    "recipe_at",
    "tune",
]

_HOME = {
    "Choice": "windtunnel.search.space",
    "Float": "windtunnel.search.space",
    "FunctionFamily": "windtunnel.models.function",
    "Int": "windtunnel.search.space",
    "Plan": "windtunnel.parametrization.plan",
    "Space": "windtunnel.search.space",
    "apply_": "windtunnel.parametrization.apply",
    "check": "windtunnel.parametrization.check",
    "check_plans": "windtunnel.parametrization.check",
    "clip_gradients_": "windtunnel.parametrization.groups",
    "compare_groups": "windtunnel.parametrization.compare",
    "find_branches": "windtunnel.parametrization.branches",
    "guard_rates": "windtunnel.parametrization.rates",
    "lambda_lr": "windtunnel.parametrization.lambda_lr",
    "param_groups": "windtunnel.parametrization.groups",
    "plan": "windtunnel.parametrization.plan",
    "recipe_at": "windtunnel.parametrization.horizon",
    "tune": "windtunnel.search.tune",
}


if not TYPE_CHECKING:  # so that type checkers still report a misspelled name

    def __getattr__(name: str) -> object:
        if name == "report":  # a package that can be called
            return importlib.import_module("windtunnel.report")
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

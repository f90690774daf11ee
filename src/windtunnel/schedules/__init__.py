"""Learning-rate schedules: pure functions from a step to a multiplier of the peak rate.

One convention holds for all. Steps run from 0 to `steps - 1`. The warm-up is linear, is never 0 and
ends on its own last step. The decay starts on its first step from where the curve was and would
reach its end one step after the run's last, so that every step moves the weights.

A schedule is a function in a file of its own and a line in `SCHEDULES`. What it takes beyond step,
steps, `warmup_fraction` and `decay_fraction` are its settings: keyword arguments, named, typed and
defaulted by its signature alone. Called `lr` or `batch_units`, one is told what the recipe says.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from windtunnel.errors import WindtunnelError
from windtunnel.scale import Recipe
from windtunnel.schedules.constant import constant
from windtunnel.schedules.cosine import cosine
from windtunnel.schedules.inverse_sqrt import inverse_sqrt
from windtunnel.schedules.linear import linear
from windtunnel.schedules.power import power
from windtunnel.schedules.recorded import recorded
from windtunnel.schedules.settings import Schedule, Setting, asks_for, checked_settings
from windtunnel.schedules.uba import unified_budget_aware
from windtunnel.schedules.wsd import warmup_stable_decay

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "wsd": warmup_stable_decay,
        "cosine": cosine,
        "linear": linear,
        "constant": constant,
        "inverse-sqrt": inverse_sqrt,
        "power": power,
        "uba": unified_budget_aware,
        "recorded": recorded,
    }
)
_NO_SETTINGS: Mapping[str, Setting] = MappingProxyType({})


def schedule_multiplier(
    name: str,
    step: int,
    steps: int,
    *,
    warmup_fraction: float,
    decay_fraction: float,
    settings: Mapping[str, Setting] = _NO_SETTINGS,
) -> float:
    """Multiplier of the peak rate at one step of a named schedule.

    Args:
        name: A key of `SCHEDULES`.
        step: 0 to `steps - 1`.
        steps: Steps in the whole run.
        warmup_fraction: Share of the steps that warm up, rounded to whole steps.
        decay_fraction: Share of the steps that decay, rounded likewise; only `wsd` and `power`
            read it, the others decay from the warm-up's end or not at all.
        settings: The schedule's own, by name; its function's docstring has them.

    Returns:
        A number above 0 and at most 1.

    Raises:
        WindtunnelError: The name is unknown, the step lies outside the run, the fractions are no
            shares of one run, or a setting is unknown, missing or out of range.

    >>> schedule_multiplier("wsd", 99, 100, warmup_fraction=0.1, decay_fraction=0.25)
    0.04
    """
    schedule = _named(name)
    if not 0 <= step < steps:
        raise WindtunnelError(f"schedule: step {step} is outside a run of {steps} steps.")
    own = checked_settings(name, schedule, settings)
    return schedule(
        step, steps, warmup_fraction=warmup_fraction, decay_fraction=decay_fraction, **own
    )


def recipe_multiplier(recipe: Recipe, step: int, steps: int) -> float:
    """Multiplier of the recipe's rate at one step: `schedule_multiplier` of what the recipe says.

    Raises:
        WindtunnelError: The step lies outside the run, or the recipe's schedule can't be.

    >>> recipe_multiplier(Recipe(lr=0.01, batch_units=64, decay_fraction=0.25), 99, 100)
    0.04
    """
    settings: dict[str, Setting] = dict(recipe.schedule_settings)
    for told in asks_for(_named(recipe.schedule)):
        if told in settings:
            raise WindtunnelError(
                f"recipe.schedule_settings.{told}: leave it out; the recipe's own is taken."
            )
        settings[told] = getattr(recipe, told)
    return schedule_multiplier(
        recipe.schedule,
        step,
        steps,
        warmup_fraction=recipe.warmup_fraction,
        decay_fraction=recipe.decay_fraction,
        settings=settings,
    )


def _named(name: str) -> Schedule:
    if name not in SCHEDULES:
        raise WindtunnelError(f"recipe.schedule: no '{name}'; choose from {', '.join(SCHEDULES)}.")
    return SCHEDULES[name]

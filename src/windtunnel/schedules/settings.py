"""A schedule's own settings, read off the function's signature and checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import get_type_hints

from windtunnel.errors import WindtunnelError

Schedule = Callable[..., float]
Setting = float | str | Sequence[float]

_SHARED = frozenset({"step", "steps", "warmup_fraction", "decay_fraction", "return"})
# What a schedule may ask for that the recipe says already: nobody sets it twice.
FROM_RECIPE = ("lr", "batch_units")


def checked_settings(
    name: str,
    schedule: Schedule,
    given: Mapping[str, Setting],
    place: str = "recipe.schedule_settings",
) -> dict[str, Setting]:
    """What a schedule is called with, beside the arguments that all have.

    Args:
        name: The schedule's name, for messages.
        schedule: Its function. Each further keyword argument is a setting; one without a default
            has to be given. Its annotation says what it may be: `float`, `int`, `str` or
            `Sequence[float]`.
        given: The settings by name.
        place: Where they stand, for messages.

    Returns:
        The settings with numbers in the type that the schedule declares.

    Raises:
        WindtunnelError: One is unknown, missing or of another kind.
    """
    kinds = _kinds(schedule)
    for setting in given:
        if setting not in kinds:
            has = f"it has {', '.join(kinds)}" if kinds else "it has none"
            raise WindtunnelError(
                f"{place}.{setting}: the schedule '{name}' has no such setting; {has}."
            )
    for setting in _needed(schedule):
        if setting not in given:
            raise WindtunnelError(f"{place}.{setting}: missing; the schedule '{name}' needs it.")
    return {
        setting: _as(kinds[setting], f"{place}.{setting}", value)
        for setting, value in given.items()
    }


def asks_for(schedule: Schedule) -> tuple[str, ...]:
    """Which of `FROM_RECIPE` the schedule wants to be told."""
    return tuple(name for name in FROM_RECIPE if name in _kinds(schedule))


@cache
def _kinds(schedule: Schedule) -> dict[str, object]:
    hints = get_type_hints(schedule)
    return {name: kind for name, kind in hints.items() if name not in _SHARED}


@cache
def _needed(schedule: Schedule) -> tuple[str, ...]:
    parameters = inspect.signature(schedule).parameters
    empty = inspect.Parameter.empty
    return tuple(name for name in _kinds(schedule) if parameters[name].default is empty)


def _as(kind: object, place: str, value: Setting) -> Setting:
    if kind is str:
        if isinstance(value, str):
            return value
        raise WindtunnelError(f"{place}: {value!r} is no name.")
    if kind is float or kind is int:
        number = _number(place, value)
        if kind is float:
            return number
        if number.is_integer():
            return int(number)
        raise WindtunnelError(f"{place}: {number:g} is no whole number.")
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise WindtunnelError(f"{place}: {value!r} is no list of numbers.")
    return tuple(_number(place, entry) for entry in value)


def _number(place: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WindtunnelError(f"{place}: {value!r} is no number.")
    return float(value)

"""The schedules of many recipes, each distinct one computed once a step."""

from __future__ import annotations

from collections.abc import Sequence

from windtunnel.scale import Recipe
from windtunnel.schedules import SCHEDULES, recipe_multiplier
from windtunnel.schedules.settings import asks_for


class Multipliers:
    """Multipliers of the members' peak rates."""

    def __init__(self, recipes: Sequence[Recipe], steps: int) -> None:
        """For runs of that many steps."""
        self._schedules = [_schedule_alone(recipe) for recipe in recipes]
        self._steps = steps

    def at(self, step: int) -> list[float]:
        """Each member's at that step."""
        distinct = {
            recipe: recipe_multiplier(recipe, step, self._steps) for recipe in set(self._schedules)
        }
        return [distinct[recipe] for recipe in self._schedules]

    def select(self, kept: Sequence[int]) -> None:
        """Keep these members, by index."""
        self._schedules = [self._schedules[index] for index in kept]


def _schedule_alone(recipe: Recipe) -> Recipe:
    """The recipe without what its schedule doesn't read: equal for equal schedules."""
    plain = Recipe(lr=1.0, batch_units=recipe.batch_units)
    read = ("schedule", "warmup_fraction", "decay_fraction", "schedule_settings")
    told = asks_for(SCHEDULES[recipe.schedule]) if recipe.schedule in SCHEDULES else ()
    return plain.replace(**{name: getattr(recipe, name) for name in (*read, *told)})

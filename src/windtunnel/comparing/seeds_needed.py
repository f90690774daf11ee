"""How many seeds would decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy import stats

from windtunnel.comparing.paired import FLIPS_FROM, LEAST_SEEDS
from windtunnel.comparing.sign_flip import least_p

POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True)
class SeedsNeeded:
    """Seeds that show a difference of one size, four times in five.

    Attributes:
        seeds: In all, at the standard deviation observed; None where more than 1,000.
        ci90: The same at the ends of that standard deviation's 90 % range, which is wide when it
            comes from five seeds.
    """

    seeds: int | None
    ci90: tuple[int | None, int | None]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"seeds": self.seeds, "ci90": list(self.ci90)}


def power(seeds: int, effect: float, sd: float, alpha: float) -> float:
    """Chance that a paired t test at level alpha shows an effect (noncentral t).

    Sign flips come within a seed or so of it from ten seeds on.
    """
    if sd == 0:
        return 1.0 if effect else alpha
    threshold = stats.t.ppf(1 - alpha / 2, seeds - 1)
    shift = abs(effect) / sd * math.sqrt(seeds)
    return float(
        stats.nct.sf(threshold, seeds - 1, shift) + stats.nct.cdf(-threshold, seeds - 1, shift)
    )


def seeds_for(
    effect: float, sd: float, *, alpha: float = 0.05, chance: float = POWER
) -> int | None:
    """The fewest seeds, at least five, with which a difference is shown with that chance.

    Args:
        effect: Mean difference that one wants to see.
        sd: Standard deviation of the paired differences, in the effect's unit.
        alpha: Level of the test: 5 % over the number of methods, Holm's hardest step.
        chance: Of showing it.

    Returns:
        None where it takes more than 1,000.
    """

    def enough(seeds: int) -> bool:
        if seeds >= FLIPS_FROM and least_p(seeds) > alpha:
            return False
        return power(seeds, effect, sd, alpha) >= chance

    return next((seeds for seeds in range(LEAST_SEEDS, MOST_SEEDS + 1) if enough(seeds)), None)


def seeds_needed(effect: float, sd: float, observed: int, *, alpha: float = 0.05) -> SeedsNeeded:
    """Seeds in all, from a standard deviation that was itself observed over a few seeds.

    Args:
        effect: As for `seeds_for`.
        sd: The observed one.
        observed: Seeds that it was observed over.
        alpha: As for `seeds_for`.
    """
    freedom = observed - 1
    low, high = (sd * math.sqrt(freedom / stats.chi2.ppf(q, freedom)) for q in (0.95, 0.05))
    return SeedsNeeded(
        seeds_for(effect, sd, alpha=alpha),
        (seeds_for(effect, low, alpha=alpha), seeds_for(effect, high, alpha=alpha)),
    )

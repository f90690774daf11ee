"""How many seeds would decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from windtunnel.comparing.paired import FLIPS_FROM, LEAST_SEEDS
from windtunnel.comparing.sign_flip import least_p

POWER = 0.8
MOST_SEEDS = 1000
_MIDDLES = (np.arange(12) + 0.5) / 12  # of a standard deviation's distribution


@dataclass(frozen=True, slots=True)
class SeedsNeeded:
    """Seeds that show a difference of one size, four times in five.

    Attributes:
        seeds: In all, four times in five on average over what the standard deviation observed may
            stand for; None where more than 1,000.
        ci90: Seeds at the ends of that standard deviation's 90 % range, which is wide when it
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
    # SciPy's noncentral t is not a number in some far tails, which are 1 and 0 to 12 digits.
    if shift > 4 * threshold + 10:
        return 1.0
    other_sign = stats.nct.cdf(-threshold, seeds - 1, shift) if shift < 5 else 0.0
    return float(stats.nct.sf(threshold, seeds - 1, shift) + other_sign)


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
    return _fewest(lambda seeds: power(seeds, effect, sd, alpha), alpha, chance)


def seeds_needed(effect: float, sd: float, observed: int, *, alpha: float = 0.05) -> SeedsNeeded:
    """Seeds in all, from a standard deviation that was itself observed over a few seeds.

    The chance is a mean over the standard deviations that the observed one may stand for: sd^2
    (n - 1) over a chi-squared with n - 1 degrees of freedom. At the observed one alone, which is
    too small as often as too large, the number stated from five seeds shows the effect 68 to 80 %
    of the time instead of 80 %.

    Args:
        effect: As for `seeds_for`.
        sd: The observed one.
        observed: Seeds that it was observed over.
        alpha: As for `seeds_for`.
    """
    freedom = observed - 1
    low, high = (sd * math.sqrt(freedom / stats.chi2.ppf(q, freedom)) for q in (0.95, 0.05))
    spreads = sd * np.sqrt(freedom / stats.chi2.ppf(_MIDDLES, freedom))

    def chance(seeds: int) -> float:
        return float(np.mean([power(seeds, effect, one, alpha) for one in spreads]))

    return SeedsNeeded(
        _fewest(chance, alpha, POWER),
        (seeds_for(effect, low, alpha=alpha), seeds_for(effect, high, alpha=alpha)),
    )


def _fewest(chance: Callable[[int], float], alpha: float, wanted: float) -> int | None:
    """By bisection, for more seeds never show less, but for those too few for exact flips."""
    if not chance(MOST_SEEDS) >= wanted:
        return None
    low, high = LEAST_SEEDS, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= wanted else (middle + 1, high)
    while low >= FLIPS_FROM and least_p(low) > alpha:
        low += 1
    return low

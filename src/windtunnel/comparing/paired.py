"""The mean of paired differences: its 90 % range, and how sure it is that it is not 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from windtunnel.comparing.sign_flip import MOST_PAIRS, sign_flip_p

# Percentile bootstrap over 3, 5, 8, 10 paired seeds: 27, 18, 12, 10 % false positives; paired t: 5
# to 6 % (design, section 5).
LEAST_SEEDS = 5
FLIPS_FROM = 8  # below, 2^(1 - n) leaves no room for a correction over two methods

Test = Literal["paired t", "sign flips", "signed ranks", "all against none"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Differences of two methods over the seeds that both have.

    Attributes:
        seeds: How many pairs.
        mean: Of the differences; None where a run diverged, for then there is none.
        ci90: Its 90 % t range; None with it.
        sd: Standard deviation of the differences; None with it.
        p: Two-sided, of no difference, before any correction for several methods.
        test: Which test gave it.
        diverged: Runs that diverged, of the first and of the second.
    """

    seeds: int
    mean: float | None
    ci90: tuple[float, float] | None
    sd: float | None
    p: float
    test: Test
    diverged: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "seeds": self.seeds,
            "mean": self.mean,
            "ci90": None if self.ci90 is None else list(self.ci90),
            "sd": self.sd,
            "p": self.p,
            "test": self.test,
            "diverged": list(self.diverged),
        }


def paired_mean(differences: Sequence[float] | NDArray[np.float64]) -> Paired:
    """The mean difference with its paired t range.

    The p is the t test's up to 7 seeds and that of exact sign flips, which asks nothing of the
    noise's distribution, from 8 to 40; beyond, the two agree.

    Args:
        differences: (n,) finite, one a seed, n at least 2.
    """
    values = np.asarray(differences, dtype=float)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    se = sd / math.sqrt(values.size)
    reach = float(stats.t.ppf(0.95, values.size - 1)) * se
    if FLIPS_FROM <= values.size <= MOST_PAIRS:
        test: Test = "sign flips"
        p = sign_flip_p(values)
    else:
        test = "paired t"
        p = _t_test_p(mean, se, values.size)
    return Paired(values.size, mean, (mean - reach, mean + reach), sd, p, test)


def paired_losses(
    first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]
) -> Paired:
    """Log of the first method's loss over the second's, seed by seed.

    A run that diverged counts as a loss above all others. Then there is no mean; the p is that of
    exact sign flips of the differences' ranks (Wilcoxon 1945), or, where all runs of the one
    diverged and none of the other's, Fisher's exact one: with 5 pairs ranks alone can't reach 5 %.

    Args:
        first: (n,) final losses by seed, above 0; infinite for a run that diverged.
        second: (n,) of the same seeds.
    """
    losses = np.array([first, second], dtype=float)
    gone = np.isinf(losses)
    if not gone.any():
        logs = np.log(losses)
        return paired_mean(logs[0] - logs[1])
    seeds = losses.shape[1]
    diverged = (int(gone[0].sum()), int(gone[1].sum()))
    if set(diverged) == {0, seeds}:
        p = 2 / math.comb(2 * seeds, seeds)
        return Paired(seeds, None, None, None, p, "all against none", diverged)
    difference = np.zeros(seeds)
    one = gone[0] ^ gone[1]
    both_ended = ~gone.any(axis=0)
    difference[one] = np.where(gone[0][one], np.inf, -np.inf)
    difference[both_ended] = np.log(losses[0][both_ended] / losses[1][both_ended])
    ranks = np.sign(difference) * stats.rankdata(np.abs(difference))
    p = sign_flip_p(ranks) if seeds <= MOST_PAIRS else float(stats.ttest_1samp(ranks, 0).pvalue)
    return Paired(seeds, None, None, None, p, "signed ranks", diverged)


def direction(first: Sequence[float], second: Sequence[float], found: Paired) -> float:
    """Below 0 where the first method has the lower loss, whether or not runs diverged."""
    if found.mean is not None:
        return found.mean
    if found.diverged[0] != found.diverged[1]:
        return float(found.diverged[0] - found.diverged[1])
    lower = [one < other for one, other in zip(first, second, strict=True) if one != other]
    return 0.5 * len(lower) - sum(lower)


def _t_test_p(mean: float, se: float, count: int) -> float:
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / se, count - 1))

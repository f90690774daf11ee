"""The exact sign-flip test on paired differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_PAIRS = 40  # two halves of 2^20 sums each: tens of megabytes, a second
# Sums that are equal in exact arithmetic may differ by rounding; they count as equal.
_ROUNDING = 1e-9


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided p of the mean difference among all 2^n ways to flip the pairs' signs.

    Under the null the two methods may be exchanged within any pair, whatever the distribution of
    the noise (Fisher 1935, The Design of Experiments, section 21). No flip is left out or drawn:
    the sums of two halves of the pairs are sorted and counted against each other (Horowitz and
    Sahni 1974), so the p is exact.

    Args:
        differences: (n,) finite, n from 1 to 40.

    Returns:
        The share of flips whose mean is at least as far from 0; never below 2^(1 - n).

    Raises:
        ValueError: A difference is not finite, or there are none or more than 40.
    """
    values = np.asarray(differences, dtype=float)
    if not 1 <= values.size <= MOST_PAIRS or not np.isfinite(values).all():
        raise ValueError(f"1 to {MOST_PAIRS} finite differences are needed")
    observed = abs(values.sum())
    allowed = observed - _ROUNDING * np.abs(values).sum()
    if allowed <= 0:
        return 1.0
    half = values.size // 2
    first, second = _sums(values[:half]), np.sort(_sums(values[half:]))
    # By symmetry as many sums lie below the negative end as above the positive one.
    above = second.size - np.searchsorted(second, allowed - first, side="left")
    return min(1.0, 2 * float(above.sum()) / 2.0**values.size)


def least_p(pairs: int) -> float:
    """The smallest p that the test can give with so many pairs."""
    return 2.0 ** (1 - pairs)


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2^n,) sums of the values under every choice of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums

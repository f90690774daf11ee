"""Single values that a factory drew far outside of its own law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# In medians of the size: 13 standard deviations of a normal, which no draw meets.
_FAR = 20.0
# How many of a law's values may be stray; more are its tail.
_SHARE = 2.0**-20


def strays(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values lie so far out, and are so few, that they say nothing of how the rest is drawn.

    `trunc_normal_`, torch's and timm's, inverts a distribution function in single precision. Where
    its limits are wide (2, for a standard deviation of 0.02) it meets 0 or 1 once in 2^24 values,
    whose inverse is infinite and is then cut to the limit: a weight of 2 among those of 0.02. Such
    a value is in most models of ten million parameters.

    Args:
        values: Any shape.

    Returns:
        True where a value is stray, in the same shape; nowhere if too many are.
    """
    sizes = np.abs(values)
    far: NDArray[np.bool_] = sizes > _FAR * np.median(sizes)
    return far if far.sum() <= 1 + _SHARE * values.size else np.zeros_like(far)

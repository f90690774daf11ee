"""A 90 % range of draws as the normal distribution that has it."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.solver import Array
from windtunnel.laws.spread import NORMAL_90


def normal_spread(drawn: Array) -> Array:
    """(n,) standard deviation of the normal whose 90 % range is as wide as that of (m, n) draws."""
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    spread: Array = (high - low) / (2 * NORMAL_90)
    return spread

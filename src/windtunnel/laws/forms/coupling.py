"""Two power-law terms that are joined with a strength."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.solver import Array


def coupled(first: Array, second: Array, log_g: Array) -> tuple[Array, Array, Array, Array]:
    """Log of `(P^(1/g) + Q^(1/g))^g`, and its derivatives by log P, log Q and log g.

    With the other term gone each is its own power law, whatever g is: g says only how they meet.
    At g = 1 they add; towards 0 the larger alone counts; above 1 they hinder each other.

    Args:
        first: (problems, n) log P.
        second: (problems, n) log Q.
        log_g: (problems, 1).
    """
    g = np.exp(log_g)
    total = g * np.logaddexp(first / g, second / g)
    part = np.exp((first - total) / g)
    return total, part, 1 - part, total - part * first - (1 - part) * second

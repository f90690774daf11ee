"""Holm's correction for several methods tested at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Adjusted p values: one below 5 % is right with all others at once in 95 % of families.

    The k-th smallest of m is multiplied by m - k + 1 and never falls below the one before it, nor
    above 1 (Holm 1979, Scandinavian Journal of Statistics 6, 65-70). It asks nothing of how the
    tests hang together: here they share the baseline's runs.

    Args:
        p_values: By method.

    Returns:
        By method, in the order given.
    """
    adjusted: dict[Name, float] = {}
    running = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}

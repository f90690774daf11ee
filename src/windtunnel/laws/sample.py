"""Of very many rows, those that stand for all where each is looked at many times."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.laws.solver import Array

# Tables with more rows than this are fitted whole, but back-tested and redrawn by a sample.
MOST_TESTED = 2000
_SAMPLE = 1000


def sampled_rows(count: int) -> np.ndarray:
    """Indices of the rows that are back-tested and redrawn: all, or a sample of very many.

    Drawn by chance and always the same: evenly spaced rows of a grid of sizes and lengths can all
    lie on its diagonal.
    """
    if count <= MOST_TESTED:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _SAMPLE, replace=False))


def remembered_rows(inputs: Mapping[str, Array]) -> np.ndarray:
    """Indices of the rows that a law keeps: all, or a sample of very many with its extremes.

    Args:
        inputs: (n,) each.
    """
    columns = [*inputs.values(), np.prod(list(inputs.values()), axis=0)]
    ends = [end for column in columns for end in (column.argmin(), column.argmax())]
    return np.union1d(sampled_rows(columns[0].size), ends)

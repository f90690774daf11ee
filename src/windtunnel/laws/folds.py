"""Rolling origins: what was small is fitted, and what was larger foretold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from windtunnel.laws.solver import Array

CUTS = 4  # a column
_SHARES = (0.35, 0.85)  # of the rows that the first and the last cut leave below
COMPUTE = "compute"


@dataclass(frozen=True, slots=True)
class Fold:
    """One origin.

    Attributes:
        axis: The input that was cut, or `compute`, the product of all.
        at: Its greatest value among the rows to fit.
        fitted: (n,) true for the rows to fit.
        foretold: (n,) true for the rows above the cut.
        distance: (n,) nats from the rows to fit, see `distance`.
    """

    axis: str
    at: float
    fitted: np.ndarray
    foretold: np.ndarray
    distance: Array


def rolling_origins(
    inputs: Mapping[str, Array],
    groups: np.ndarray,
    *,
    least_rows: int,
    least_values: Mapping[str, int],
) -> list[Fold]:
    """Cut along every input and along their product, at several values each.

    A run with any row above the cut is left out of the rows to fit altogether: what its earlier
    rows have in common with its later ones would flatter the forecast.

    Args:
        inputs: (n,) positive, each.
        groups: (n,) number of each row's run.
        least_rows: Rows below a cut without which it is left out.
        least_values: Distinct values of an input needed below a cut.
    """
    columns = dict(inputs)
    if len(columns) > 1:
        columns[COMPUTE] = np.prod(list(columns.values()), axis=0)
    folds, seen = [], set()
    for axis, values in columns.items():
        for cut in _cuts(values):
            foretold = values > cut
            fitted = ~foretold & ~np.isin(groups, groups[foretold])
            place = (fitted.tobytes(), foretold.tobytes())
            if place in seen or fitted.sum() < least_rows or not foretold.any():
                continue
            if any(np.unique(inputs[k][fitted]).size < most for k, most in least_values.items()):
                continue
            seen.add(place)
            below = {name: column[fitted] for name, column in inputs.items()}
            folds.append(Fold(axis, float(cut), fitted, foretold, distance(below, dict(inputs))))
    return folds


def distance(measured: Mapping[str, Array], at: Mapping[str, Array]) -> Array:
    """How far points lie beyond measured ones, in nats: 0 inside.

    The log ratios to the greatest value of every input added, or the log ratio of the inputs'
    product to its greatest value, whichever is more.

    Args:
        measured: (m,) values of each input.
        at: (n,) values of each input.
    """
    beyond = sum(
        np.maximum(0.0, np.log(at[name] / values.max())) for name, values in measured.items()
    )
    product = np.prod([at[name] for name in measured], axis=0)
    compute = np.log(product / np.prod(list(measured.values()), axis=0).max())
    farther: Array = np.maximum(beyond, compute)
    return farther


def _cuts(values: Array) -> Array:
    """Values at which to cut: quantiles of the rows, each one of the values themselves."""
    shares = np.linspace(*_SHARES, CUTS)
    found: Array = np.unique(np.quantile(values, shares, method="lower"))
    below: Array = found[found < values.max()]
    return below

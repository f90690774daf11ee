"""Where curves with one valley are least: many at a time, without derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from windtunnel.laws.solver import Array

_POINTS, _ROUNDS = 33, 4  # each round narrows the bracket 16 times


def least(curve: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where each of many curves is least.

    A grid is laid, and laid again around its best point; the last step takes the parabola through
    three points. Robust to values of infinity, and to valleys so flat that a slope means nothing.

    Args:
        curve: (rows, points) places to their (rows, points) values; NaN counts as infinite.
        low: (rows,) where to look.
        high: (rows,).

    Returns:
        (rows,) places; an end where the curve falls towards it.
    """
    begin, end = np.array(low, dtype=float), np.array(high, dtype=float)
    rows = np.arange(begin.size)
    share = np.linspace(0.0, 1.0, _POINTS)
    for _ in range(_ROUNDS):
        places = begin[:, None] + (end - begin)[:, None] * share
        values = curve(places)
        values = np.where(np.isnan(values), np.inf, values)
        at = values.argmin(axis=1)
        before, after = np.maximum(at - 1, 0), np.minimum(at + 1, _POINTS - 1)
        # Once rounding has levelled the valley, only the wider bracket still has a shape.
        with np.errstate(invalid="ignore"):  # a curve infinite all along has no rise
            rise = values[rows, before] + values[rows, after] - 2 * values[rows, at]
        if np.all(rise < 1e-9 * np.abs(values[rows, at])):
            break
        begin, end = places[rows, before], places[rows, after]
    return _vertex(places, values, at)


def _vertex(places: Array, values: Array, at: np.ndarray) -> Array:
    """Of the parabola through the best point and its neighbours, where it has both."""
    rows = np.arange(at.size)
    middle = places[rows, at]
    inner = np.clip(at, 1, _POINTS - 2)
    left, here, right = (values[rows, inner + step] for step in (-1, 0, 1))
    whole = (inner == at) & np.isfinite(left) & np.isfinite(right)
    left, here, right = (np.where(whole, value, 0.0) for value in (left, here, right))
    bend = left + right - 2 * here
    step = places[:, 1] - places[:, 0]
    shift = 0.5 * (left - right) / np.where(bend > 0, bend, 1.0)
    moved: Array = middle + np.where(whole & (bend > 0), np.clip(shift, -1, 1), 0.0) * step
    return moved

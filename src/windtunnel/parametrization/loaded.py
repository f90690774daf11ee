"""Tell loaded or trained weights from a factory's fresh draw, by what no draw would show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from windtunnel.parametrization.strays import strays

Values = NDArray[np.float64]

# Of a large parameter this many values, and a block of this many rows and columns, are looked at:
# milliseconds a parameter, whatever its size.
_VALUES, _BLOCK = 2**14, 256
# A fresh draw crosses either line with a chance of about exp(-32): 2 exp(-2 c^2) for Kolmogorov's
# distance (Massart 1990), exp(-t^2 / 2) for the largest singular value (Davidson and Szarek 2001,
# theorem II.13, for normal entries; uniform and cut ones have lighter tails).
_KOLMOGOROV, _BEYOND_EDGE = 4.0, 8.0
# Enough for a direction a fifth above the noise to win, from any start.
_ITERATIONS = 20
# Distances that come from rounding rather than from training.
_ROUNDING = 0.005


def not_drawn_alike(found: Tensor, drawn: Sequence[Tensor]) -> str | None:
    """What shows that a parameter was not just drawn as the same factory drew it elsewhere.

    The spread may differ, since a factory's may depend on size, and so may the shape. Compared are
    whether the values are constant, how they are distributed, and whether a matrix has a
    direction that stands out from the noise: after a few optimizer steps it has.

    Args:
        found: The parameter's values, or any part of them.
        drawn: The parameter it is scaled from, in fresh models of several seeds.

    Returns:
        The evidence, for people; None where there is none.
    """
    if not found.numel():
        return None
    if all(torch.equal(drawn[0], other) for other in drawn[1:]):
        return _not_constant(found, float(drawn[0].flatten()[0]))
    here, there = _standardised([found]), _standardised(drawn)
    if not np.isfinite(here).all():
        return "some values are not finite"
    if not here.any():
        return "all values are zero"
    rounding = _ROUNDING + torch.finfo(found.dtype).eps
    chance = _KOLMOGOROV * math.sqrt(1 / here.size + 1 / there.size)
    if _distance(here, there) > chance + rounding:
        return "the values are distributed otherwise"
    if _has_direction(found):
        return "one direction stands out from the noise, as after training"
    return None


def _not_constant(found: Tensor, constant: float) -> str | None:
    first = found.flatten()[0]
    if bool((found != first).any()):
        return f"a fresh model has {constant:g} everywhere"
    if (float(first) == 0.0) != (constant == 0.0):
        return f"a fresh model has {constant:g} and not {float(first):g}"
    return None


def _standardised(tensors: Sequence[Tensor]) -> Values:
    """Some values of all tensors, sorted, with a mean square of one."""
    each = _VALUES // len(tensors)
    flat = [tensor.detach().flatten() for tensor in tensors]
    some = torch.cat([values[:: math.ceil(values.numel() / each)] for values in flat])
    values: Values = some.double().cpu().numpy()
    values = values[~strays(values)]
    spread = math.sqrt(float(np.mean(values**2)))
    return np.sort(values) / (spread or 1.0)


def _distance(here: Values, there: Values) -> float:
    """Kolmogorov's: the largest gap between two empirical distributions of sorted values.

    Looked for at every eighth value, which misses next to nothing and never finds too much.
    """
    places = np.concatenate((here[::8], there[::8]))
    below_here = np.searchsorted(here, places, side="right") / here.size
    below_there = np.searchsorted(there, places, side="right") / there.size
    return float(np.abs(below_here - below_there).max())


def _has_direction(found: Tensor) -> bool:
    """Whether the largest singular value lies beyond what independent entries would have.

    Independent entries of variance one give sqrt(rows) + sqrt(columns) at most, but for chance.
    """
    if found.ndim < 2:
        return False
    matrix = found.detach().flatten(1)
    rows, columns = (math.ceil(size / _BLOCK) for size in matrix.shape)
    block = matrix[::rows, ::columns].float().cpu().contiguous()
    block = block.masked_fill(torch.from_numpy(strays(block.double().numpy())), 0.0)
    edge = math.sqrt(block.shape[0]) + math.sqrt(block.shape[1]) + _BEYOND_EDGE
    # Power iteration: never above the largest singular value, and a tenth of the time of an SVD.
    vector = torch.cos(torch.arange(block.shape[1], dtype=torch.float32))
    for _ in range(_ITERATIONS):
        vector = block.T @ (block @ vector)
        vector /= torch.linalg.vector_norm(vector)
    spread = block.square().mean().sqrt()
    return bool(torch.linalg.vector_norm(block @ vector) > edge * spread)

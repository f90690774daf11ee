"""The rows a loss law is fitted to, checked once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class LawPoint:
    """One measured loss.

    Attributes:
        params: Parameters of the model, counted the same way in every point. Windtunnel's own
            studies count the non-embedding ones: all but the input embedding table (a head that
            shares it counts).
        units: Training length (tokens, say).
        loss: Final validation loss, above 0.
        loss_se: Standard error of `loss` as the mean of its seeds; 0 when unknown. Not the error
            over the validation set: that is one and the same set for all points, so it moves
            them together and is no noise to the law.
        group: Points that share a run or a trunk (checkpoints of one run) share a group, and stay
            together when points are resampled or held out. "" is a group of its own.
        weight: How much the point counts, relative to the others: as one over the variance of
            its log loss.
    """

    params: float
    units: float
    loss: float
    loss_se: float = 0.0
    group: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LawData:
    """Points as arrays of shape (n,), in a canonical order that the order of rows can't change.

    `weight` has mean 1.
    """

    params: Array
    units: Array
    loss: Array
    loss_se: Array
    weight: Array
    groups: tuple[str, ...]

    def __len__(self) -> int:
        """Number of points."""
        return self.loss.size

    def keep(self, mask: np.ndarray) -> LawData:
        """The points where `mask` is true."""
        return LawData(
            self.params[mask],
            self.units[mask],
            self.loss[mask],
            self.loss_se[mask],
            self.weight[mask],
            tuple(group for group, kept in zip(self.groups, mask, strict=True) if kept),
        )

    def group_numbers(self) -> np.ndarray:
        """(n,) index of each point's group."""
        names = [group or f"\0{i}" for i, group in enumerate(self.groups)]
        return np.unique(names, return_inverse=True)[1]


def law_data(points: Sequence[LawPoint], *, least: int = 3) -> LawData:
    """Check the points and put them in order.

    Raises:
        WindtunnelError: Fewer than `least` points, or a value that is not a positive number.
    """
    if len(points) < least:
        raise WindtunnelError(
            f"law: {len(points)} points given and {least} needed; finish more runs of the ladder"
        )
    for number, point in enumerate(points, start=1):
        for name in ("params", "units", "loss", "weight"):
            value = getattr(point, name)
            if not (math.isfinite(value) and value > 0):
                raise WindtunnelError(
                    f"law: point {number} has {name} {value}, which is not a positive number; "
                    "leave diverged runs and broken rows out"
                )
        if not (math.isfinite(point.loss_se) and point.loss_se >= 0):
            raise WindtunnelError(
                f"law: point {number} has loss_se {point.loss_se}; give 0 where it is unknown"
            )
    ordered = sorted(points, key=lambda p: (p.params, p.units, p.loss, p.loss_se, p.group))
    weight = np.array([p.weight for p in ordered], dtype=float)
    return LawData(
        params=np.array([p.params for p in ordered], dtype=float),
        units=np.array([p.units for p in ordered], dtype=float),
        loss=np.array([p.loss for p in ordered], dtype=float),
        loss_se=np.array([p.loss_se for p in ordered], dtype=float),
        weight=weight / weight.mean(),
        groups=tuple(p.group for p in ordered),
    )

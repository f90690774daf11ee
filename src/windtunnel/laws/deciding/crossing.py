"""Where two curves cross, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where two methods are equal along an axis.

    Attributes:
        axis: Name of what varies.
        looked: From where to where.
        at: The place, with its range over the draws; None where the fitted laws do not cross. An
            end of the range is 0 or infinite where more than 5 % of the draws cross below or
            above what was looked at, or nowhere.
        share: Of the draws that cross within.
        beyond: Which of the two is lower above the place: `first` or `second`.
    """

    axis: str
    looked: tuple[float, float]
    at: Estimate | None
    share: float
    beyond: Literal["first", "second"]

    def words(self, names: tuple[str, str]) -> str:
        """One sentence, where there is a place."""
        if self.at is None:
            return ""
        better = names[0] if self.beyond == "first" else names[1]
        low, high = self.at.ci90
        ends = (
            f"below {self.looked[0]:.2g}" if low == 0 else f"{low:.2g}",
            f"beyond {self.looked[1]:.2g}" if np.isinf(high) else f"{high:.2g}",
        )
        line = {
            "flops": "FLOPs, each at its best size",
            "tokens": "tokens at the target's parameters",
        }[self.axis]
        return (
            f"They cross at {self.at.value:.2g} ({ends[0]} to {ends[1]}) {line}; "
            f"{better} is better above."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "axis": self.axis,
            "looked": list(self.looked),
            "at": None if self.at is None else self.at.to_json(),
            "share": self.share,
            "beyond": self.beyond,
        }


def crossing(axis: str, places: Array, fitted: Array, drawn: Array, *, near: float) -> Crossing:
    """Where a difference changes its sign.

    Args:
        axis: Name of what varies.
        places: (n,) positive and rising.
        fitted: (n,) the first curve less the second.
        drawn: (draws, n) the same for each draw.
        near: Of several places, the nearest to this one (in the log) is taken.
    """
    place = _zero(places, fitted, near)
    beyond: Literal["first", "second"] = "first" if fitted[-1] < 0 else "second"
    found = [_zero(places, each, near) for each in drawn]
    share = float(np.mean([each is not None for each in found]))
    looked = (float(places[0]), float(places[-1]))
    if place is None:
        return Crossing(axis, looked, None, share, beyond)
    # A draw in which the later winner wins all along crossed below, if anywhere.
    won = np.sign(fitted[-1])
    filled = [
        (0.0 if np.sign(each[-1]) == won else np.inf) if at is None else at
        for at, each in zip(found, drawn, strict=True)
    ]
    return Crossing(axis, looked, Estimate.of(place, np.array(filled)), share, beyond)


def _zero(places: Array, values: Array, near: float) -> float | None:
    """The change of sign nearest to a place, by the line through its neighbours in the log."""
    apart = np.flatnonzero(values)  # a place where they are equal is between two where they differ
    changes = np.flatnonzero(np.sign(values[apart[:-1]]) != np.sign(values[apart[1:]]))
    if not changes.size:
        return None
    left, right = apart[changes], apart[changes + 1]
    logs = np.log(places)
    part = values[left] / (values[left] - values[right])
    zeros = logs[left] + part * (logs[right] - logs[left])
    return float(np.exp(zeros[np.abs(zeros - np.log(near)).argmin()]))

"""Few classes of an ordered quantity, so that colours and markers can tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_OWN = 8  # colours of the palette, and markers
_CLASSES = 6


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes by a centre each.

    Attributes:
        centres: (c,) ascending.
        place: (n,) class of each value.
        exact: Whether every value is its class's centre.
    """

    centres: NDArray[np.float64]
    place: NDArray[np.intp]
    exact: bool


def classes_of(values: NDArray[np.float64]) -> Classes:
    """Each distinct value a class of its own where they are few, else the nearest of six.

    Args:
        values: (n,) positive.
    """
    own = np.unique(values)
    exact = own.size <= _MOST_OWN
    if exact:
        centres = own
    else:
        spaced = np.geomspace(own[0], own[-1], _CLASSES)
        centres = np.unique([float(f"{each:.2g}") for each in spaced])
    nats = np.abs(np.log(values)[:, None] - np.log(centres)[None, :])
    return Classes(centres, nats.argmin(axis=1), exact)

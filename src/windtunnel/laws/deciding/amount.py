"""Amounts as people read them."""

from __future__ import annotations

import math

_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_LARGEST = 1e15


def amount(value: float) -> str:
    """Three figures and a suffix: 7e9 is 7B; with a power of ten beyond 1e15, such as FLOPs."""
    rounded = float(f"{value:.3g}")
    if not math.isfinite(rounded) or abs(rounded) >= _LARGEST:
        return f"{rounded:.3g}"
    for size, suffix in _SUFFIXES:
        if abs(rounded) >= size:
            return f"{rounded / size:.3g}{suffix}"
    return f"{rounded:.3g}"

"""A schedule refined from the gradient norms of a run that is over."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from windtunnel.errors import WindtunnelError

Norm = Literal["l1", "l2"]

_POWERS: dict[Norm, int] = {"l1": -1, "l2": -2}


def refine_schedule(
    norms: Sequence[float], *, norm: Norm = "l1", smoothing: float = 0.1, points: int = 200
) -> tuple[float, ...]:
    """Multipliers for the schedule `recorded`, from one finished run's gradient norms.

    Step `t` gets `w_t * (w_(t+1) + ... + w_(T+1))` over the greatest such product. For Adam and its
    kin `w` is one over the L1 norm of the whole gradient, for SGD one over the squared L2 norm.
    Norms that stay the same give the straight line to 0; large ones at the start a warm-up; ones
    that grow at the end a faster end. Only the rate is left to tune. The bound behind it speaks of
    the iterate after the last step, whose own norm nobody took: `w_(T+1)` is the last one again, so
    that the last step moves the weights and the line is that of `linear`.

    Norms are smoothed first by a running median. Its window is `2 * floor(smoothing * T / 2) + 1`
    steps; beyond the end the norms are mirrored, before the start the first is repeated.

    Source: Defazio et al. 2023 (arXiv 2310.07831) and the code published with it, which has the
    norms' kinds, the windows and the ends.

    Args:
        norms: The norm of the whole gradient at each step, of one kind throughout, before any
            clipping (clipped ones hide what is to be learned). A study's `metrics.jsonl` holds the
            L2 norm, not the L1 norm.
        norm: Which norm these are: `l1` for Adam and its kin, `l2` for SGD.
        smoothing: The window's share of the run; 0 smooths nothing.
        points: Entries of the result at most; `recorded` draws lines between them.

    Returns:
        Above 0 and at most 1, the greatest of them 1; as many as there are norms, or `points`.

    Raises:
        WindtunnelError: A norm is not above 0 and finite, or an option is out of range.

    >>> refine_schedule([2.0, 2.0, 2.0, 2.0])
    (1.0, 0.75, 0.5, 0.25)
    >>> refine_schedule([4.0, 1.0, 1.0, 1.0], smoothing=0)  # a rise, where the norm was large
    (0.333333, 1.0, 0.666667, 0.333333)
    """
    if norm not in _POWERS:
        raise WindtunnelError(f"norm: no '{norm}'; l1 for Adam and its kin, l2 for SGD.")
    if not 0 <= smoothing < 1:
        raise WindtunnelError(f"smoothing: {smoothing:g} is no share of the run (0 to below 1).")
    if points < 1:
        raise WindtunnelError(f"points: {points} entries; it takes at least one.")
    if not norms or not all(math.isfinite(entry) and entry > 0 for entry in norms):
        raise WindtunnelError("norms: need at least one, each above 0 and finite.")
    smooth = running_median(norms, smoothing)
    least = min(smooth)
    weights = [(entry / least) ** _POWERS[norm] for entry in smooth]
    after = list(accumulate(reversed(weights), initial=weights[-1]))[:-1][::-1]
    products = [weight * rest for weight, rest in zip(weights, after, strict=True)]
    kept = _fewer(products, points)
    top = max(kept)
    return tuple(float(f"{entry / top:.6g}") for entry in kept)


def running_median(norms: Sequence[float], share: float) -> list[float]:
    """Median of the window around each entry; see `refine_schedule` for windows and ends.

    >>> running_median([1, 9, 1, 1, 1, 5, 1, 1], 0.4)
    [1, 1, 1, 1, 1, 1, 1, 1]
    """
    count = len(norms)
    half = int(share * count) // 2
    mirrored = [norms[_mirror(at, count)] for at in range(count + half)]
    padded = [norms[0]] * half + mirrored
    window = sorted(padded[: 2 * half + 1])
    medians = [window[half]]
    for at in range(count - 1):
        del window[bisect_left(window, padded[at])]
        insort(window, padded[at + 2 * half + 1])
        medians.append(window[half])
    return medians


def _mirror(at: int, count: int) -> int:
    """Where a walk that turns round at the last entry, which counts once, stands."""
    return at if at < count else 2 * (count - 1) - at


def _fewer(products: list[float], points: int) -> list[float]:
    """Read off `points` evenly spaced entries, in lines between the given ones and 0 at the end."""
    count = len(products)
    if count <= points:
        return products
    ends = [*products, 0.0]
    found = []
    for point in range(points):
        whole, part = divmod(point * count, points)
        found.append(ends[whole] + (ends[whole + 1] - ends[whole]) * part / points)
    return found

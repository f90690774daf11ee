"""The critical batch size, measured from gradient norms at two batch sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from windtunnel.errors import WindtunnelError


@dataclass(frozen=True, slots=True)
class NoiseScale:
    """A measured gradient noise scale.

    Attributes:
        value: Variance of a single unit's gradient over the square of the mean gradient, in the
            unit that batches are given in; infinite where no mean gradient shows.
        low: Lower end of its 90 % range.
        high: Upper end; infinite where the mean gradient can't be told from none.
        gradient_squared: Squared L2 norm of the mean gradient, estimated without bias.
        trace: Trace of the covariance of a single unit's gradient, likewise.
    """

    value: float
    low: float
    high: float
    gradient_squared: float
    trace: float


def noise_scale(
    small_norms: Sequence[float],
    large_norms: Sequence[float],
    *,
    small_batch: float,
    large_batch: float,
) -> NoiseScale:
    """Estimate the simple noise scale, `tr(covariance) / |mean gradient|^2`.

    A batch of `B` units has `E |g_B|^2 = |G|^2 + tr(S) / B`, so two batch sizes give both unknowns
    without bias: `|G|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b)` and `tr(S) = (|g_b|^2 - |g_B|^2) /
    (1/b - 1/B)`. Each is averaged over the steps before they are divided; a single step's can be
    negative. The range is Fieller's for a ratio of means, with Student's t: it takes the steps for
    draws around one noise scale, so measure over a stretch in which it hardly moves.

    Up to about this batch size a batch twice as large nearly halves the steps; beyond it buys
    little. It agrees with the critical batch in order of magnitude only.

    Source: McCandlish et al. 2018 (arXiv 1812.06162), section 2.2 and appendix A.1.

    Args:
        small_norms: At each step the L2 norm of the whole gradient of `small_batch` units, at the
            same weights as the large one's and before clipping: one worker's before the
            all-reduce, or one micro-batch's. Of several, give the root of their mean square.
        large_norms: At each step the norm of the whole batch's gradient.
        small_batch: Units in the small batch.
        large_batch: Units in the large one, in the same unit.

    Raises:
        WindtunnelError: There are fewer than two steps, norms that are not paired, negative or not
            finite, or the large batch is not the larger one.

    >>> found = noise_scale([3.0, 3.1, 2.9], [2.0, 2.1, 1.9], small_batch=1, large_batch=4)
    >>> round(found.value, 2)
    2.85
    """
    if not 0 < small_batch < large_batch:
        raise WindtunnelError(
            f"noise scale: the batches are {small_batch:g} and {large_batch:g}; need a smaller and "
            "a larger one."
        )
    if len(small_norms) != len(large_norms) or len(small_norms) < 2:
        raise WindtunnelError(
            f"noise scale: {len(small_norms)} and {len(large_norms)} norms; need both at each of "
            "at least two steps."
        )
    if not all(math.isfinite(norm) and norm >= 0 for norm in (*small_norms, *large_norms)):
        raise WindtunnelError("noise scale: a norm is negative or not finite.")
    gradients, traces = [], []
    for small, large in zip(small_norms, large_norms, strict=True):
        gradients.append(
            (large_batch * large**2 - small_batch * small**2) / (large_batch - small_batch)
        )
        traces.append((small**2 - large**2) / (1 / small_batch - 1 / large_batch))
    gradient, trace = math.fsum(gradients) / len(gradients), math.fsum(traces) / len(traces)
    low, high = _fieller(traces, gradients, trace, gradient)
    value = max(0.0, trace / gradient) if gradient > 0 else math.inf
    return NoiseScale(value, low, high, gradient, trace)


def _fieller(
    tops: Sequence[float], bottoms: Sequence[float], top: float, bottom: float
) -> tuple[float, float]:
    """90 % range of the ratio of two positive means, given their paired draws."""
    from scipy.stats import t

    count = len(tops)
    reach = float(t.ppf(0.95, count - 1)) ** 2 / (count * (count - 1))
    spread_top = reach * math.fsum((x - top) ** 2 for x in tops)
    spread_bottom = reach * math.fsum((x - bottom) ** 2 for x in bottoms)
    together = reach * math.fsum(
        (x - top) * (y - bottom) for x, y in zip(tops, bottoms, strict=True)
    )
    a, b, c = bottom**2 - spread_bottom, top * bottom - together, top**2 - spread_top
    inside = b**2 - a * c
    if inside < 0:  # every ratio agrees with the draws
        return 0.0, math.inf
    if a > 0 and bottom > 0:
        return max(0.0, (b - math.sqrt(inside)) / a), max(0.0, (b + math.sqrt(inside)) / a)
    if a == 0:
        return max(0.0, c / (2 * b)) if b > 0 else 0.0, math.inf
    # The bottom may be 0: all ratios from the positive root on.
    return max(0.0, (b - math.sqrt(inside)) / a, (b + math.sqrt(inside)) / a), math.inf

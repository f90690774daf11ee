"""How long a method has to train to reach a loss, from whole runs of several lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Beyond the shortest and the longest run the nearest two go on in a straight line, this far.
REACH = math.log(1.5)


def log_time_to(
    log_loss: float,
    log_times: ArrayLike,
    log_losses: ArrayLike,
    slopes: tuple[float, float],
) -> float:
    """Log of the time at which a run would have ended at a loss.

    Every point is the end of a run whose schedule ended there: a curve's middle says nothing of
    that, for the learning rate was still high. Between two lengths the line is straight in the
    logs. A longer run that did worse than a shorter one is no time to stop at, so the best so far
    counts.

    Args:
        log_loss: Log of the loss to reach.
        log_times: (n,) log of each run's length, FLOPs or seconds, increasing, n at least 2.
        log_losses: (n,) log of what it ended at.
        slopes: Of log loss against log time before the first point and after the last, negative:
            from the mean over seeds, for two runs alone are noisy. At 0 or above nothing is
            reached beyond.

    Returns:
        Minus infinity where the loss is reached farther below the shortest run than `REACH`, and
        infinity where not by so much beyond the longest.
    """
    times = np.asarray(log_times, dtype=float)
    best = np.minimum.accumulate(np.asarray(log_losses, dtype=float))
    if log_loss > best[0]:
        return _beyond(times[0], (log_loss - best[0]), slopes[0], -math.inf)
    if log_loss < best[-1]:
        return _beyond(times[-1], (log_loss - best[-1]), slopes[1], math.inf)
    after = int(np.argmax(best <= log_loss))
    if after == 0:
        return float(times[0])
    share = (best[after - 1] - log_loss) / (best[after - 1] - best[after])
    return float(times[after - 1] + share * (times[after] - times[after - 1]))


def end_slopes(
    log_times: Sequence[ArrayLike], log_losses: Sequence[ArrayLike]
) -> tuple[float, float]:
    """Slopes of log loss between the first two and the last two lengths, over all seeds.

    Args:
        log_times: (n,) for each seed.
        log_losses: (n,) likewise.
    """
    times = [np.asarray(one, dtype=float) for one in log_times]
    losses = [np.asarray(one, dtype=float) for one in log_losses]
    return _slope(times, losses, 0, 1), _slope(times, losses, -2, -1)


def _slope(
    times: list[NDArray[np.float64]], losses: list[NDArray[np.float64]], one: int, other: int
) -> float:
    fallen = sum(float(loss[other] - loss[one]) for loss in losses)
    return fallen / sum(float(time[other] - time[one]) for time in times)


def _beyond(start: float, rise: float, slope: float, else_: float) -> float:
    if slope >= 0 or abs(rise / slope) > REACH:
        return else_
    return float(start + rise / slope)

"""Trajectory invariance: learning rate and weight decay searched along one direction first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from windtunnel.errors import WindtunnelError
from windtunnel.search.policies.halving import better
from windtunnel.search.policy import Answer, Budget, Decision, Stop
from windtunnel.search.space import Float, Space
from windtunnel.search.table import Row, Table
from windtunnel.search.trial import Trial

RATE, DECAY = "lr", "weight_decay"


class TrajectoryInvariancePolicy:
    """The effective rate lr x weight decay first, then their ratio at the best one.

    "Efficient Hyperparameter Tuning via Trajectory Invariance Principle": late in training, runs
    of AdamW with equal lr x weight decay follow one trajectory; so the loss depends on the product
    far more than on the ratio. What is read of the paper is its statement; the steps are ours:
    points along the product with the ratio in the middle of the space, two more beside the best,
    then as many along the ratio with the product held. It needs decoupled decay, and runs longer
    than 1 / (lr x weight decay) steps.

    Args:
        space: `lr` and `weight_decay`, on log scales.
        points: Of each line; at least 3.
        fidelity: How long each trial is trained.

    Raises:
        WindtunnelError: The space has other parameters, or not both on log scales.
    """

    asynchronous = False

    def __init__(self, space: Space, *, points: int = 7, fidelity: float | None = None) -> None:
        parameters = space.parameters
        if set(parameters) != {RATE, DECAY} or not all(
            isinstance(p, Float) and p.log and not p.when for p in parameters.values()
        ):
            raise WindtunnelError(
                f"trajectory invariance: it searches {RATE} and {DECAY}, both on a log scale, and "
                f"the space has {', '.join(space.names)}"
            )
        if points < 3:
            raise WindtunnelError(f"trajectory invariance: {points} points make no line; give 3")
        self._space = space
        self._points = points
        self._fidelity = fidelity

    def next(self, table: Table[Trial], budget: Budget, seed: int) -> Answer[Trial]:
        """The line along the product, points between its best ones, the line along the ratio."""
        if budget.spent:
            return Stop(budget.spent)
        along = [n / (self._points - 1) for n in range(self._points)]
        first = [self._trial(share, 0.5, seed) for share in along]
        answer, rows = _ended(table, 0, first, "effective rate")
        if answer is not None:
            return answer
        best = along[rows.index(better(rows)[0])]
        step = 1 / (self._points - 1)
        between = [share for share in (best - step / 2, best + step / 2) if 0 <= share <= 1]
        second = [self._trial(share, 0.5, seed) for share in between]
        answer, more = _ended(table, len(first), second, "effective rate, between")
        if answer is not None:
            return answer
        shares = [*along, *between]
        best = shares[[*rows, *more].index(better([*rows, *more])[0])]
        ratios = [share for share in along if not math.isclose(share, 0.5)]
        third = [self._trial(best, share, seed) for share in ratios]
        answer, _ = _ended(table, len(first) + len(second), third, "ratio")
        return Stop("both lines are searched") if answer is None else answer

    def _trial(self, product: float, ratio: float, seed: int) -> Trial:
        """The trial at a share of the way along the product and the ratio, in log.

        The ratio goes as far as both values stay in the space.
        """
        rate, decay = (self._space.parameters[name] for name in (RATE, DECAY))
        assert isinstance(rate, Float) and isinstance(decay, Float), "checked when it was made"
        log_product = _between(
            math.log(rate.low * decay.low), math.log(rate.high * decay.high), product
        )
        least = max(math.log(rate.low), log_product - math.log(decay.high))
        most = min(math.log(rate.high), log_product - math.log(decay.low))
        log_rate = _between(least, most, ratio)
        logs = {RATE: log_rate, DECAY: log_product - log_rate}
        values = {
            name: min(max(math.exp(log), parameter.low), parameter.high)
            for (name, log), parameter in zip(logs.items(), (rate, decay), strict=True)
        }
        return Trial.of(values, fidelity=self._fidelity, seed=seed)


def _ended(
    table: Sequence[Row[Trial]], begin: int, wanted: Sequence[Trial], purpose: str
) -> tuple[list[Decision[Trial]] | None, list[Row[Trial]]]:
    """What a line still needs, and its rows; None where all of it has ended."""
    present = list(table[begin : begin + len(wanted)])
    if len(present) < len(wanted):
        return [Decision(trial, purpose) for trial in wanted[len(present) :]], present
    return (None if all(row.done for row in present) else []), present


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share

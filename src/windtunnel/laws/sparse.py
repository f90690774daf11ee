"""Sparse pre-training: the average number of parameters over training, for Chinchilla's law.

Jin et al. 2025 (The Journey Matters): a model that is pruned while it trains has the loss of a
dense one of its average size, L = E + A / Nbar^alpha + B / D^beta, and costs about 6 Nbar D FLOPs.
So the form is `chinchilla` with Nbar in the column `params`; a dense model's Nbar is its N. From
the abstract and the project's page (58e6 to 468e6 parameters); its coefficients are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.solver import Array


@dataclass(frozen=True, slots=True)
class Pruning:
    """A gradual schedule: sparsity S (1 - (1 - x)^3), x from 0 at the start to 1 at the end.

    The cubic is the usual gradual schedule (Zhu and Gupta 2017; recalled), not checked in the
    paper's code.

    Attributes:
        sparsity: S, the share of the prunable parameters that is gone in the end.
        start: Share of the training tokens at which pruning starts.
        end: Share of the training tokens at which it is done.
    """

    sparsity: float
    start: float
    end: float

    def __post_init__(self) -> None:
        """Check the values."""
        if not (0 <= self.sparsity < 1 and 0 <= self.start <= self.end <= 1):
            raise WindtunnelError(
                f"pruning: sparsity {self.sparsity:g} from {self.start:g} to {self.end:g}; give a "
                "sparsity from 0 to below 1 and shares of the tokens with 0 <= start <= end <= 1"
            )

    @staticmethod
    def by_compute(sparsity: float, start: float, end: float) -> Pruning:
        """The schedule whose start and end are shares of the training compute.

        The paper's 25 % and 75 % are of compute; of tokens they come to other shares, because
        tokens get cheaper as the model shrinks. All parameters count as prunable.
        """
        Pruning(sparsity, start, end)  # the same checks
        # Tokens that a share of compute buys: before, while and after pruning a token costs 1,
        # on average 1 - 3/4 S, and 1 - S.
        before = start
        during = (end - start) / (1 - 0.75 * sparsity)
        after = (1 - end) / (1 - sparsity)
        tokens = before + during + after
        return Pruning(sparsity, before / tokens, (before + during) / tokens)

    def remaining(self, fraction: Array) -> Array:
        """(n,) share of the prunable parameters that is left at shares of the tokens."""
        span = max(self.end - self.start, 1e-300)
        x = np.clip((fraction - self.start) / span, 0.0, 1.0)
        return np.asarray(1 - self.sparsity * (1 - (1 - x) ** 3))

    def average(self) -> float:
        """Mean over the tokens of `remaining`, exactly: the mean of 1 - (1 - x)^3 is 3 / 4."""
        gone = 0.75 * (self.end - self.start) + (1 - self.end)
        return 1 - self.sparsity * gone


def average_params(prunable: float, pruning: Pruning, *, kept: float = 0.0) -> float:
    """Nbar of a model.

    Args:
        prunable: Parameters that the schedule prunes, before it does.
        pruning: The schedule.
        kept: Parameters that are never pruned, where your law's N counts them.
    """
    return kept + prunable * pruning.average()


def average_params_of_curve(tokens: Array, params: Array) -> float:
    """Nbar of a measured curve, by the trapezoid rule.

    Args:
        tokens: (n,) tokens seen, rising, from the first to the last of training.
        params: (n,) parameters that were active.

    Raises:
        WindtunnelError: Fewer than two rows, or tokens that do not rise.
    """
    if tokens.size < 2 or not (np.diff(tokens) > 0).all():
        raise WindtunnelError(
            f"pruning: {tokens.size} rows of tokens and parameters; give at least two, with tokens "
            "that rise from row to row"
        )
    mean = (np.diff(tokens) * (params[1:] + params[:-1]) / 2).sum() / (tokens[-1] - tokens[0])
    return float(mean)

"""What a report shows of a search by one of the policies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchedTrial:
    """One run of the search.

    Attributes:
        values: Its hyperparameters, and the scale's axes where the policy chose them.
        fidelity: What the policy varied beside, such as the length; None where it chose scales.
        loss: None if it diverged.
        flops: What it cost.
    """

    values: dict[str, float]
    fidelity: float | None
    loss: float | None
    flops: float


@dataclass(frozen=True, slots=True)
class Searched:
    """A whole search.

    Attributes:
        policy: Who decided.
        ranges: Least and greatest value of each hyperparameter, searched on a log scale.
        scale_axes: The names among the trials' values that are axes of scale.
        trials: In the order of the decisions.
    """

    policy: str
    ranges: dict[str, tuple[float, float]]
    scale_axes: tuple[str, ...]
    trials: tuple[SearchedTrial, ...]

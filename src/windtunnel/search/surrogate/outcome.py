"""What a ladder's runs say of the target's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LadderOutcome:
    """What the runs say of the target.

    Attributes:
        values: The recipe to take there.
        ci90: 90 % range of where each hyperparameter's best value lies.
        regret: Expected loss above that of the best recipe, as a share of the loss.
        settled: Whether that is within what is accepted.
        directly: Hyperparameters to tune at the target itself, the worst first: those whose own
            uncertainty costs more than their share of what is accepted. Empty where it is settled.
    """

    values: Mapping[str, float]
    ci90: Mapping[str, tuple[float, float]]
    regret: float
    settled: bool
    directly: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Octaves by which a best value moves an octave of scale, with the 90 % range."""

    slope: float
    ci90: tuple[float, float]

"""What halving searches share: rungs, brackets, and one bracket read off a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from windtunnel.errors import WindtunnelError
from windtunnel.search.policy import Decision
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial

ETA = 3  # Li et al. 2018 (Hyperband, 1603.06560), section 3.6: 3 or 4


@dataclass(frozen=True, slots=True)
class Rung:
    """So many trials at one fidelity."""

    trials: int
    fidelity: float


Bracket = Sequence[Rung]


def halvings(least: float, most: float, eta: float) -> int:
    """How often the fidelity can grow by `eta` from `least` without passing `most`.

    log(243) / log(3) is just below 5 in floating point.
    """
    return math.floor(math.log(most / least) / math.log(eta) + 1e-9)


def check_fidelities(least: float, most: float, eta: float) -> None:
    """Refuse what makes no rungs.

    Raises:
        WindtunnelError: The fidelities aren't positive and in order, or `eta` doesn't reduce.
    """
    if not 0 < least <= most:
        raise WindtunnelError(
            f"halving: fidelities from {least:g} to {most:g}; they have to be above 0 and in order"
        )
    if eta <= 1:
        raise WindtunnelError(f"halving: eta is {eta:g} and has to be above 1 (3 is usual)")


def halving_bracket(trials: int, least: float, most: float, eta: float) -> list[Rung]:
    """Keep the best 1 / eta at every rung, until one trial is left or `most` is reached."""
    check_fidelities(least, most, eta)
    rungs = []
    for rung in range(halvings(least, most, eta) + 1):
        left = math.floor(trials * eta**-rung + 1e-9)
        if left < 1:
            break
        rungs.append(Rung(left, least * eta**rung))
    return rungs


def better(rows: Sequence[Row[Trial]]) -> list[Row[Trial]]:
    """From the least loss to the greatest; equal ones by number, failures and divergence last."""
    return sorted(rows, key=lambda row: (math.inf if row.loss is None else row.loss, row.number))


def best_row(rows: Sequence[Row[Trial]]) -> Row[Trial]:
    """The least loss among the trials of the greatest fidelity that any of these rows has."""
    longest = max((row.run.fidelity or 0.0) for row in rows)
    return better([row for row in rows if (row.run.fidelity or 0.0) == longest])[0]


def walk_bracket(
    bracket: Bracket,
    rows: Iterator[Row[Trial]],
    fresh: Callable[[int], Trial],
    name: str,
) -> list[Decision[Trial]] | None:
    """What a bracket needs next.

    Its rows come rung by rung, as they were decided; each promoted trial continues the one it was
    on the rung below. What failed or diverged is never promoted, were the rung to stay short.

    Args:
        bracket: Its rungs.
        rows: The rest of the table; the bracket's own are taken off it.
        fresh: Makes the n-th new trial of the bracket, at the first rung's fidelity.
        name: For the decisions' purpose.

    Returns:
        Decisions to make, none where results have to be waited for; None when it has ended.
    """
    parents: list[Row[Trial]] = []
    for number, rung in enumerate(bracket):
        wanted = (
            [fresh(place) for place in range(rung.trials)]
            if number == 0
            else [promoted(row, rung.fidelity) for row in parents[: rung.trials]]
        )
        present = [row for _, row in zip(wanted, rows, strict=False)]
        if len(present) < len(wanted):
            purpose = f"{name}, rung {number + 1} of {len(bracket)}"
            return [Decision(trial, purpose) for trial in wanted[len(present) :]]
        if not all(row.done for row in present):
            return []
        parents = [row for row in better(present) if row.loss is not None]
    return None


def promoted(row: Row[Trial], fidelity: float) -> Trial:
    """The same values trained on to a higher fidelity."""
    trial = row.run
    return Trial(trial.items, fidelity, trial.seed, row.number)

"""How many times less training a method needs for the baseline's final loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from windtunnel.comparing.cells import Cell
from windtunnel.comparing.finished import FinishedRun
from windtunnel.comparing.paired import LEAST_SEEDS, Paired, paired_mean
from windtunnel.comparing.time_to_loss import REACH, end_slopes, log_time_to
from windtunnel.laws.deciding.estimate import Estimate

Measure = Literal["units", "flops", "seconds"]
MEASURES: tuple[Measure, ...] = ("units", "flops", "seconds")
Through = Literal["the method's lengths", "the baseline's lengths"]
_LEAST_LENGTHS = 2
Runs = Mapping[float, Mapping[str, FinishedRun]]


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """Speed-up in one measure at one scale, or why there is none.

    Attributes:
        measure: What is saved: the table's unit of length, FLOPs, or wall time.
        estimate: How many times less, with its 90 % range; None where it can't be said.
        logs: Log speed-up by seed; empty where it can't be said.
        p: Two-sided, of no speed-up; None likewise.
        through: Whose runs of several lengths it was read from: the method's, at the baseline's
            final loss; or the baseline's own law, at the loss that the method's one length gave.
        reason: Why there is none, and what would help; empty where there is one.
    """

    measure: Measure
    estimate: Estimate | None
    logs: Mapping[str, float]
    p: float | None
    through: Through
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "measure": self.measure,
            **({} if self.estimate is None else self.estimate.to_json()),
            "p": self.p,
            "through": self.through,
            "reason": self.reason,
        }


def speed_up(cell: Cell, method: str, baseline: str, length: float, measure: Measure) -> SpeedUp:
    """Compare a method's time to the baseline's final loss with the baseline's own time.

    Where the method has one length only, it is the baseline's curve that is read, at the method's
    final loss.

    Args:
        cell: Runs at one scale.
        method: The method.
        baseline: The baseline.
        length: The baseline's length whose final loss is to be reached; where the method has one
            length only, that one.
        measure: What is counted.
    """
    several = len(cell.lengths(method)) >= _LEAST_LENGTHS
    through: Through = "the method's lengths" if several else "the baseline's lengths"
    read, other = (method, baseline) if several else (baseline, method)
    logs = _Logs(cell, read, other, length, measure, sign=1.0 if several else -1.0)
    try:
        found = logs.by_seed()
    except _CannotSayError as error:
        return SpeedUp(measure, None, {}, None, through, str(error))
    paired: Paired = paired_mean(list(found.values()))
    assert paired.mean is not None and paired.ci90 is not None, "every time is finite"
    estimate = Estimate(paired.mean, paired.ci90).through(math.exp)
    return SpeedUp(measure, estimate, found, paired.p, through)


class _CannotSayError(Exception):
    """There is no speed-up to be read; the message says why."""


@dataclass(frozen=True, slots=True)
class _Logs:
    cell: Cell
    read: str
    other: str
    length: float
    measure: Measure
    sign: float

    def by_seed(self) -> dict[str, float]:
        """Log speed-up of each seed."""
        curves = self._curves()
        slopes = end_slopes(
            [times for times, _ in curves.values()], [losses for _, losses in curves.values()]
        )
        ends = self.cell.runs[self.other][self.length]
        found: dict[str, float] = {}
        for seed, (times, losses) in curves.items():
            if seed in ends:
                taken = self._time(ends[seed])
                reached = log_time_to(math.log(ends[seed].loss), times, losses, slopes)
                found[seed] = self.sign * (taken - reached)
        if len(found) < LEAST_SEEDS:
            raise _CannotSayError(
                f"{len(found)} seeds are shared by {self.other} and by {self.read}'s runs of "
                f"several lengths, and at least {LEAST_SEEDS} are needed"
            )
        self._check_reach(found)
        return found

    def _curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        lengths = self.cell.lengths(self.read)
        if len(lengths) < _LEAST_LENGTHS:
            raise _CannotSayError(
                f"{self.read} and {self.other} have one length of training each here, and the "
                "middle of a run is no end of one; add runs of another length, each with its "
                "schedule to the end"
            )
        runs: Runs = self.cell.runs[self.read]
        shared = set.intersection(*(set(runs[length]) for length in lengths))
        seeds = [seed for seed in runs[lengths[0]] if seed in shared]
        every = [runs[length][seed] for seed in seeds for length in lengths]
        every += [run for run in self.cell.runs[self.other][self.length].values()]
        gone = [run for run in every if math.isinf(run.loss)]
        if gone:
            raise _CannotSayError(
                f"{len(gone)} runs diverged (the first: {gone[0].method}, seed {gone[0].seed}), and "
                "what never ended has no time"
            )
        return {
            seed: (
                np.array([self._time(runs[length][seed]) for length in lengths]),
                np.log([runs[length][seed].loss for length in lengths]),
            )
            for seed in seeds
        }

    def _time(self, run: FinishedRun) -> float:
        amount = getattr(run, self.measure)
        if amount is None:
            raise _CannotSayError(f"the table has no {self.measure} for {run.method}")
        return math.log(amount)

    def _check_reach(self, found: Mapping[str, float]) -> None:
        out = [value for value in found.values() if math.isinf(value)]
        if not out:
            return
        lengths = self.cell.lengths(self.read)
        shorter = sum(value > 0 for value in out) >= len(out) / 2
        if self.sign < 0:
            shorter = not shorter
        end, where = (lengths[0], "below") if shorter else (lengths[-1], "beyond")
        wanted = end / math.exp(2 * REACH) if shorter else end * math.exp(2 * REACH)
        raise _CannotSayError(
            f"in {len(out)} of {len(found)} seeds {self.other}'s final loss lies more than "
            f"{math.exp(REACH):g} times {where} {self.read}'s lengths; add runs of about "
            f"{wanted:.3g}"
        )


def shared_lengths(cell: Cell, method: str, baseline: str) -> Sequence[float]:
    """Lengths that both have, shortest first."""
    return sorted(set(cell.lengths(method)) & set(cell.lengths(baseline)))

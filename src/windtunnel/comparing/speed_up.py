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
Runs = Mapping[float, Mapping[str, FinishedRun]]


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """Speed-up in one measure at one scale, or why there is none.

    Attributes:
        measure: What is saved: the table's unit of length, FLOPs, or wall time.
        estimate: How many times less, with its 90 % range; None where it can't be said.
        logs: Log speed-up by seed; empty where it can't be said.
        p: Two-sided, of no speed-up; None likewise.
        read: The method whose runs of several lengths it was read from, at the other's final loss.
        reason: Why there is none, and what would help; empty where there is one.
    """

    measure: Measure
    estimate: Estimate | None
    logs: Mapping[str, float]
    p: float | None
    read: str
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "measure": self.measure,
            **({} if self.estimate is None else self.estimate.to_json()),
            "p": self.p,
            "read": self.read,
            "reason": self.reason,
        }


def speed_up(cell: Cell, method: str, baseline: str, length: float, measure: Measure) -> SpeedUp:
    """The baseline's time over the method's, to one loss.

    That is the final loss of whichever is worse, so that the better one's runs of several lengths
    are read where they are: for a better method, how soon it reaches the baseline's final loss.
    Where the better one has one length only, the other's are read, somewhat beyond their end.

    Args:
        cell: Runs at one scale.
        method: The method.
        baseline: The baseline.
        length: That both have, whose final losses are compared.
        measure: What is counted.
    """
    better = method if _lower(cell, method, baseline, length) else baseline
    worse = baseline if better == method else method
    read, other = (better, worse) if len(cell.lengths(better)) > 1 else (worse, better)
    logs = _Logs(cell, read, other, length, measure, sign=1.0 if read == method else -1.0)
    try:
        found = logs.by_seed()
    except _CannotSayError as error:
        return SpeedUp(measure, None, {}, None, read, str(error))
    paired: Paired = paired_mean(list(found.values()))
    assert paired.mean is not None and paired.ci90 is not None, "every time is finite"
    estimate = Estimate(paired.mean, paired.ci90).through(math.exp)
    return SpeedUp(measure, estimate, found, paired.p, read)


def _lower(cell: Cell, method: str, baseline: str, length: float) -> bool:
    one, other = cell.runs[method][length], cell.runs[baseline][length]
    shared = [seed for seed in one if seed in other]
    return sum(one[s].loss for s in shared) < sum(other[s].loss for s in shared)


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
        reached = {
            seed: log_time_to(math.log(ends[seed].loss), times, losses, slopes)
            for seed, (times, losses) in curves.items()
            if seed in ends
        }
        if len(reached) < LEAST_SEEDS:
            raise _CannotSayError(
                f"{len(reached)} seeds are shared by {self.other} and by {self.read}'s runs of "
                f"several lengths, and at least {LEAST_SEEDS} are needed"
            )
        self._check_reach(list(reached.values()))
        return {s: self.sign * (self._time(ends[s]) - time) for s, time in reached.items()}

    def _curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        lengths = self.cell.lengths(self.read)
        if len(lengths) < 2:
            raise _CannotSayError(
                f"{self.read} and {self.other} have one length of training each here, and the "
                "middle of a run is no end of one; add runs of another length, each with its "
                "schedule to the end"
            )
        runs: Runs = self.cell.runs[self.read]
        shared = set.intersection(*(set(runs[length]) for length in lengths))
        seeds = [seed for seed in runs[lengths[0]] if seed in shared]
        every = [runs[length][seed] for seed in seeds for length in lengths]
        every += self.cell.runs[self.other][self.length].values()
        gone = [run for run in every if math.isinf(run.loss)]
        if gone:
            raise _CannotSayError(
                f"{len(gone)} runs diverged (the first: {gone[0].method}, seed {gone[0].seed}), "
                "and what never ended has no time"
            )
        found = {
            seed: (
                np.array([self._time(runs[length][seed]) for length in lengths]),
                np.log([runs[length][seed].loss for length in lengths]),
            )
            for seed in seeds
        }
        if any((np.diff(times) <= 0).any() for times, _ in found.values()):
            raise _CannotSayError(
                f"a longer run of {self.read} took no more {self.measure} than a shorter one"
            )
        return found

    def _time(self, run: FinishedRun) -> float:
        amount = getattr(run, self.measure)
        if amount is None:
            raise _CannotSayError(f"the table has no {self.measure} for {run.method}")
        if amount <= 0:
            raise _CannotSayError(f"the table has runs of {run.method} that took 0 {self.measure}")
        return math.log(amount)

    def _check_reach(self, reached: Sequence[float]) -> None:
        out = [time for time in reached if math.isinf(time)]
        if not out:
            return
        lengths = self.cell.lengths(self.read)
        shorter = sum(time < 0 for time in out) > len(out) / 2
        end, where = (lengths[0], "below") if shorter else (lengths[-1], "beyond")
        wanted = end / math.exp(2 * REACH) if shorter else end * math.exp(2 * REACH)
        raise _CannotSayError(
            f"in {len(out)} of {len(reached)} seeds {self.other}'s final loss lies more than "
            f"{math.exp(REACH):g} times {where} {self.read}'s lengths; add runs of {self.read} of "
            f"length {wanted:.3g}"
        )


def shared_lengths(cell: Cell, method: str, baseline: str) -> Sequence[float]:
    """Lengths that both have, shortest first."""
    return sorted(set(cell.lengths(method)) & set(cell.lengths(baseline)))

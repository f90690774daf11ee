"""Every method against the baseline at one scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from windtunnel.comparing.cells import Cell
from windtunnel.comparing.holm import holm
from windtunnel.comparing.paired import LEAST_SEEDS, Paired, direction, paired_losses
from windtunnel.comparing.seeds_needed import SeedsNeeded, seeds_needed
from windtunnel.comparing.speed_up import MEASURES, SpeedUp, shared_lengths, speed_up

ALPHA = 0.05

Verdict = Literal["better", "worse", "no difference shown", "cannot say"]


@dataclass(frozen=True, slots=True)
class MethodAt:
    """One method at one scale.

    Attributes:
        method: Its name.
        length: Of the runs whose final losses are compared; None where there is none to compare.
        difference: Log of its loss over the baseline's; None for `cannot say`.
        verdict: `better` or `worse` where the p after Holm's correction is at most 5 %.
        p: After the correction; None for `cannot say`.
        within: Whether the 90 % range lies within the effect asked about, which is Schuirmann's
            test (1987) at 5 % that the difference is smaller.
        needed: Seeds that would show the effect asked about, where no difference is shown; None
            where that is settled or a run diverged.
        needed_seen: Seeds that would show a difference as large as the one seen, where that is
            the larger one; None likewise.
        speed_ups: In units, FLOPs and wall time.
        state: Its optimizer's bytes over the baseline's; None where the table has none,
            or the baseline's has no state.
        reason: Of `cannot say`; else empty.
    """

    method: str
    length: float | None
    difference: Paired | None
    verdict: Verdict
    p: float | None
    within: bool
    needed: SeedsNeeded | None
    needed_seen: SeedsNeeded | None
    speed_ups: tuple[SpeedUp, ...]
    state: float | None
    reason: str = ""

    def speed_up(self, measure: str) -> SpeedUp | None:
        """The speed-up in one measure, said or refused."""
        return next((one for one in self.speed_ups if one.measure == measure), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the difference is of the log loss."""
        return {
            "method": self.method,
            "verdict": self.verdict,
            "length": self.length,
            "difference": None if self.difference is None else self.difference.to_json(),
            "p_holm": self.p,
            "within_effect": self.within,
            "seeds_needed": None if self.needed is None else self.needed.to_json(),
            "seeds_needed_for_the_difference_seen": (
                None if self.needed_seen is None else self.needed_seen.to_json()
            ),
            "speed_up": [one.to_json() for one in self.speed_ups],
            "state_bytes_ratio": self.state,
            "reason": self.reason,
        }


def measure_cell(cell: Cell, methods: Sequence[str], baseline: str) -> list[MethodAt]:
    """Differences and speed-ups of all methods but the baseline, without verdicts yet."""
    return [_measured(cell, method, baseline) for method in methods if method != baseline]


def give_verdicts(
    measured: Mapping[Any, MethodAt], effect: float, alpha: float = ALPHA
) -> dict[Any, MethodAt]:
    """Judge a family of tests together.

    Args:
        measured: By any key; those that have a difference are one family for Holm's correction.
        effect: Difference of log loss that one cares about.
        alpha: Level of the family.
    """
    p_values = {key: one.difference.p for key, one in measured.items() if one.difference}
    adjusted = holm(p_values)
    hardest = alpha / max(1, len(p_values))
    return {
        key: _judged(one, adjusted[key], effect, alpha, hardest) if key in adjusted else one
        for key, one in measured.items()
    }


def _measured(cell: Cell, method: str, baseline: str) -> MethodAt:
    def cannot(reason: str) -> MethodAt:
        return MethodAt(method, None, None, "cannot say", None, False, None, None, (), None, reason)

    for name in (baseline, method):
        if name not in cell.runs:
            return cannot(f"there is no final run of {name} at {cell.name}")
    lengths = shared_lengths(cell, method, baseline)
    if not lengths:
        return cannot(f"{method} and {baseline} share no training length at {cell.name}")
    seeds = {x: _shared_seeds(cell, method, baseline, x) for x in lengths}
    length = max((x for x in lengths if len(seeds[x]) >= LEAST_SEEDS), default=lengths[-1])
    pairs = seeds[length]
    if len(pairs) < LEAST_SEEDS:
        return cannot(
            f"{method} and {baseline} share {len(pairs)} seeds at {cell.name}, and at least "
            f"{LEAST_SEEDS} are needed; run the same seeds of both"
        )
    own, other = (
        [cell.runs[name][length][seed].loss for seed in pairs] for name in (method, baseline)
    )
    difference = paired_losses(own, other)
    found = MethodAt(
        method,
        length,
        difference,
        "better" if direction(own, other, difference) < 0 else "worse",
        None,
        False,
        None,
        None,
        tuple(speed_up(cell, method, baseline, length, measure) for measure in MEASURES),
        _state(cell, method, baseline, length),
    )
    return found


def _judged(one: MethodAt, p: float, effect: float, alpha: float, hardest: float) -> MethodAt:
    assert one.difference is not None, "only those with a difference are judged"
    found = one.difference
    within = found.ci90 is not None and max(map(abs, found.ci90)) <= effect
    if p <= alpha:
        return dataclasses.replace(one, p=p, within=within)
    needed = seen = None
    if not within and found.sd is not None and found.mean is not None:
        needed = seeds_needed(effect, found.sd, found.seeds, alpha=hardest)
        if abs(found.mean) > effect:
            seen = seeds_needed(found.mean, found.sd, found.seeds, alpha=hardest)
    return dataclasses.replace(
        one,
        p=p,
        verdict="no difference shown",
        within=within,
        needed=needed,
        needed_seen=seen,
    )


def _shared_seeds(cell: Cell, method: str, baseline: str, length: float) -> list[str]:
    return [seed for seed in cell.runs[method][length] if seed in cell.runs[baseline][length]]


def _state(cell: Cell, method: str, baseline: str, length: float) -> float | None:
    means = []
    for name in (method, baseline):
        sizes = [run.state_bytes for run in cell.runs[name][length].values()]
        known = [size for size in sizes if size is not None]
        if not known:
            return None
        means.append(float(np.mean(known)))
    return means[0] / means[1] if means[1] > 0 else None

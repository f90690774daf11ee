"""Performance profiles: how often a method comes within a factor of the fastest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windtunnel.errors import WindtunnelError

# AlgoPerf's r_max: whoever takes over four times as long as the fastest gets nothing for it.
LIMIT = 4.0
Times = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class PerformanceProfile:
    """One method over all workloads.

    Attributes:
        method: Its name.
        ratios: Its time to the target over the fastest method's, by workload; infinite where it
            never got there.
        limit: Ratio up to which a workload counts.
    """

    method: str
    ratios: Mapping[str, float]
    limit: float = LIMIT

    def share(self, factor: float) -> float:
        """The share of workloads with a ratio of at most `factor` (Dolan and More 2002)."""
        return sum(ratio <= factor for ratio in self.ratios.values()) / len(self.ratios)

    @property
    def score(self) -> float:
        """The area under the profile from 1 to the limit, as a share of the whole: 0 to 1.

        The integral of a step function, without a grid: each workload adds what lies between its
        ratio and the limit (AlgoPerf's benchmark score, DOCUMENTATION.md of
        mlcommons/algorithmic-efficiency; Dahl et al. 2023, 2306.07179).
        """
        gained = (max(0.0, self.limit - ratio) for ratio in self.ratios.values())
        return sum(gained) / (self.limit - 1) / len(self.ratios)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; a workload that was never reached is null."""
        return {
            "method": self.method,
            "score": self.score,
            "ratios": {
                name: ratio if math.isfinite(ratio) else None for name, ratio in self.ratios.items()
            },
        }


def performance_profiles(
    times: Times, *, held_out: Times | None = None, limit: float = LIMIT
) -> dict[str, PerformanceProfile]:
    """A profile for each method.

    A workload that no method reached says nothing and counts as infinite for all.

    Args:
        times: Time to the target by method and workload, above 0; infinite where it wasn't
            reached in the time allowed. Every method needs every workload.
        held_out: The same on a variant of each workload that nobody could tune for. A method that
            doesn't reach its target there, or takes more than `limit` times as long as the fastest
            of those that reached the workload itself, loses the workload.
        limit: Ratio up to which a workload counts.

    Raises:
        WindtunnelError: There is no method or no workload, one is missing somewhere, or a time is
            not above 0.
    """
    workloads = _workloads(times, "times")
    counted = {method: dict(own) for method, own in times.items()}
    if held_out is not None:
        if _workloads(held_out, "held-out times") != workloads or set(held_out) != set(times):
            raise WindtunnelError(
                "performance profiles: held-out times need the same methods and workloads"
            )
        for name in workloads:
            reached = [method for method in times if math.isfinite(times[method][name])]
            least = min((held_out[method][name] for method in reached), default=math.inf)
            for method in times:
                if not held_out[method][name] <= limit * least < math.inf:
                    counted[method][name] = math.inf
    fastest = {name: min(own[name] for own in counted.values()) for name in workloads}
    return {
        method: PerformanceProfile(
            method,
            {
                name: own[name] / fastest[name] if math.isfinite(own[name]) else math.inf
                for name in workloads
            },
            limit,
        )
        for method, own in counted.items()
    }


def _workloads(times: Times, what: str) -> list[str]:
    names = [sorted(own) for own in times.values()]
    if not names or not names[0]:
        raise WindtunnelError(f"performance profiles: no {what}; give a method and a workload")
    for method, own in times.items():
        if sorted(own) != names[0]:
            missing = sorted({*names[0], *own} - ({*names[0]} & {*own}))
            raise WindtunnelError(
                f"performance profiles: {method} and the others have not the same workloads "
                f"({', '.join(missing)}); every method runs all"
            )
        for name, time in own.items():
            if not time > 0:
                raise WindtunnelError(
                    f"performance profiles: {method} on {name}: {time:g} is no time above 0"
                )
    return names[0]

"""Was every method tuned, and as well as the others?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from windtunnel.comparing.finished import FinishedRun, MethodRuns

# Budgets are equal within this share: trials that diverged early cost a little less.
_ENOUGH = 0.9
_SURE = 2.0  # standard errors by which a spot check has to be ahead

Rule = Literal["not tuned", "edge", "less tuned", "spot check", "fingerprint"]
Settings = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class TuningFlag:
    """Something that may have cost a method more than it costs the others.

    Attributes:
        method: Which.
        rule: Why.
        sentence: In words, with what to do.
    """

    method: str
    rule: Rule
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"method": self.method, "rule": self.rule, "sentence": self.sentence}


def tuning_flags(table: MethodRuns) -> tuple[TuningFlag, ...]:
    """Flag methods that were not tuned, tuned less than another, or not to the end.

    `not tuned`: no tuning run, or all with one setting, where another method has some. `edge`: the
    best setting has the least or the greatest value tried of a hyperparameter, so the optimum may
    lie outside (0 as the least is a bound of its own). `less tuned`: fewer settings or less compute
    than 0.9 of another method's. `spot check`: another setting beat the transferred one at a
    larger scale by more than its noise. `fingerprint`: other settings were tried on one workload
    than on another, which AlgoPerf forbids: the space has to be one that knows no workload.

    Args:
        table: Runs with their stages. Without any tuning run nothing can be said: no flags.
    """
    tuning = {m: [r for r in table.runs if _is(r, m, "tuning")] for m in table.methods}
    if not any(tuning.values()):
        return ()
    flags = []
    for method, runs in tuning.items():
        if len(_settings(runs)) < 2:
            count = "no tuning run" if not runs else "one setting in all its tuning runs"
            flags.append(
                TuningFlag(method, "not tuned", f"{method} has {count}; tune it as the others were")
            )
            continue
        flags += _edges(method, runs)
        flags += _spot_checks(table, method)
        flags += _less_tuned(method, tuning)
        flags += _fingerprints(method, runs)
    return tuple(flags)


def _is(run: FinishedRun, method: str, stage: str) -> bool:
    return run.method == method and run.stage == stage


def _key(run: FinishedRun) -> Settings:
    return tuple(sorted(run.settings.items()))


def _settings(runs: Sequence[FinishedRun]) -> dict[Settings, list[FinishedRun]]:
    found: dict[Settings, list[FinishedRun]] = {}
    for run in runs:
        found.setdefault(_key(run), []).append(run)
    return found


def _mean(runs: Sequence[FinishedRun]) -> float:
    return float(np.mean([math.log(run.loss) for run in runs]))


def _places(runs: Sequence[FinishedRun]) -> dict[tuple[object, ...], list[FinishedRun]]:
    """Runs by workload, scale and length."""
    found: dict[tuple[object, ...], list[FinishedRun]] = {}
    for run in runs:
        found.setdefault((run.workload, tuple(run.scale.items()), run.units), []).append(run)
    return found


def _where(run: FinishedRun) -> str:
    size = ", ".join(f"{axis} {value:g}" for axis, value in run.scale.items())
    return f"{run.workload}, {size}" if run.workload else size


def _edges(method: str, runs: Sequence[FinishedRun]) -> list[TuningFlag]:
    flags = []
    for there in _places(runs).values():
        tried = _settings(there)
        means = {key: _mean(its) for key, its in tried.items()}
        best = min(means, key=lambda key: means[key])
        for name, value in best:
            values = sorted({dict(key)[name] for key in tried if name in dict(key)})
            if len(values) < 2 or (value == values[0] == 0):
                continue
            if value in (values[0], values[-1]):
                end, beyond = ("least", "below") if value == values[0] else ("greatest", "above")
                flags.append(
                    TuningFlag(
                        method,
                        "edge",
                        f"{method}'s best {name} at {_where(there[0])} is the {end} of "
                        f"{len(values)} tried, {value:g}; try values {beyond} it",
                    )
                )
    return flags


def _spent(runs: Sequence[FinishedRun]) -> tuple[int, float, str]:
    """Settings tried, what they cost, and in what."""
    trials = sum(len(_settings(there)) for there in _places(runs).values())
    flops = [run.flops for run in runs if run.flops is not None]
    if len(flops) == len(runs):
        return trials, sum(flops), "FLOPs"
    return trials, sum(run.units for run in runs), "units of training"


def _less_tuned(method: str, tuning: Mapping[str, Sequence[FinishedRun]]) -> list[TuningFlag]:
    trials, cost, what = _spent(tuning[method])
    for other, runs in tuning.items():
        if other == method or not runs:
            continue
        others, paid, _ = _spent(runs)
        if trials < _ENOUGH * others or cost < _ENOUGH * paid:
            sentence = (
                f"{method} was tuned with {trials} trials and {cost:.2g} {what}, {other} with "
                f"{others} and {paid:.2g}; give both the same budget"
            )
            return [TuningFlag(method, "less tuned", sentence)]
    return []


def _fingerprints(method: str, runs: Sequence[FinishedRun]) -> list[TuningFlag]:
    tried: dict[str, set[Settings]] = {}
    for run in runs:
        tried.setdefault(run.workload, set()).add(_key(run))
    first, *others = tried
    odd = next((name for name in others if tried[name] != tried[first]), None)
    if odd is None:
        return []
    sentence = (
        f"{method} was tuned over other settings on {odd} than on {first}; use one list for all "
        "workloads"
    )
    return [TuningFlag(method, "fingerprint", sentence)]


def _spot_checks(table: MethodRuns, method: str) -> list[TuningFlag]:
    final = _places([run for run in table.runs if _is(run, method, "final")])
    flags = []
    for place, checks in _places([r for r in table.runs if _is(r, method, "spot check")]).items():
        transferred = {run.seed: math.log(run.loss) for run in final.get(place, [])}
        if len(transferred) < 2 or not np.isfinite(list(transferred.values())).all():
            continue
        own = {_key(run) for run in final[place]}
        noise = float(np.std(list(transferred.values()), ddof=1))
        for key, runs in _settings(checks).items():
            pairs = [math.log(r.loss) - transferred[r.seed] for r in runs if r.seed in transferred]
            others = [r for r in runs if r.seed not in transferred]
            middle = float(np.mean(list(transferred.values())))
            ahead = pairs + [math.log(run.loss) - middle for run in others]
            gain = -float(np.mean(ahead))
            if key not in own and gain > _SURE * noise * math.sqrt(2 / len(ahead)):
                changed = ", ".join(f"{name} {value:g}" for name, value in key)
                flags.append(
                    TuningFlag(
                        method,
                        "spot check",
                        f"at {_where(runs[0])} {changed} beat {method}'s transferred setting by "
                        f"{100 * gain:.2g} % of the loss; its rule does not hold there",
                    )
                )
    return flags

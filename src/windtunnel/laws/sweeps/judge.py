"""Does the optimum stay put, from runs that are already paid for?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.hyperparameters import fit_optima_law
from windtunnel.laws.optimum import Optimum, Trial, fit_optima
from windtunnel.laws.sweeps.table import TuningRun, TuningTable
from windtunnel.laws.transfer import AxisVerdict, Drift
from windtunnel.laws.transfer_axes import judge_lines

_LENGTHS = ("tokens", "images", "steps")
_WORST_FIRST = ("drifts", "cannot say", "transfers")

Scale = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The runs of one scale that share the settings of its best run.

    Attributes:
        scale: Value by axis.
        settings: Hyperparameters beside the learning rate.
        trials: Rates and losses.
        optimum: None where fewer than two rates gave a loss.
    """

    scale: Mapping[str, float]
    settings: Mapping[str, float]
    trials: tuple[Trial, ...]
    optimum: Optimum | None

    def to_json(self) -> dict[str, Any]:
        """The sweep as plain JSON values, named as a study's `tune.json` names them."""
        return {
            **self.scale,
            "others": dict(self.settings),
            "points": [{"lr": t.value, "loss": t.loss, "seed": t.seed} for t in self.trials],
            "optimum": optimum_json(self.optimum),
        }


@dataclass(frozen=True, slots=True)
class TableTransfer:
    """The verdict on a table, axis by axis.

    Attributes:
        table: What was judged.
        sweeps: Every scale, smallest first.
        axes: One verdict an axis.
        at_shortest: The first axis on the shortest runs alone; the same where there is one length.
        remarks: What the reader should know of the table, in sentences.
    """

    table: TuningTable
    sweeps: tuple[Sweep, ...]
    axes: tuple[AxisVerdict, ...]
    at_shortest: AxisVerdict
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same keys as a study's transfer verdict has, and the table's own."""
        first = self.axes[0]
        worst = min(self.axes, key=lambda axis: _WORST_FIRST.index(axis.verdict))
        return {
            "verdict": worst.verdict,
            "reason": worst.reason,
            "slope": first.slope,
            "slope_ci90": _listed(first.slope_ci90),
            "slope_at_shortest": self.at_shortest.slope,
            "slope_at_shortest_ci90": _listed(self.at_shortest.slope_ci90),
            "sp_slope": None,
            "sp_slope_ci90": None,
            "loss_paid_percent": first.loss_paid_percent,
            "axes": [axis.to_json() for axis in self.axes],
            "rules": {},
            "source": self.table.source,
            "columns": [
                {
                    "name": use.name,
                    "heading": use.heading,
                    "unit": use.unit,
                    "reason": use.reason,
                    "given": use.given,
                }
                for use in self.table.uses
            ],
            "sweeps": [sweep.to_json() for sweep in self.sweeps],
            "remarks": list(self.remarks),
        }


def judge_table(table: TuningTable, target: Mapping[str, float] | None = None) -> TableTransfer:
    """Judge every axis that the table's runs vary, as a study judges its own sweeps.

    Axes that move together in every run, such as tokens that grow with the parameters, are judged
    as one, along the first of them.

    Args:
        table: The runs.
        target: Value by axis of the run in mind; what it leaves out is judged on the runs alone.

    Raises:
        WindtunnelError: The target names an axis that the table lacks, or runs under several
            rules are mixed.
    """
    axes = tuple(table.runs[0].scale)
    unknown = sorted(set(target or {}) - set(axes))
    if unknown:
        raise WindtunnelError(
            f"--target {unknown[0]}: the table has no such axis; it has {', '.join(axes)}"
        )
    rules = sorted({run.rule for run in table.runs})
    if len(rules) > 1:
        raise WindtunnelError(
            f"{table.source}: the runs are under {len(rules)} rules ({', '.join(rules)}), and each "
            f"has optima of its own; choose one: --where rule=={rules[0]}"
        )
    sweeps = sweeps_of(table.runs)
    optima = {tuple(sweep.scale.values()): sweep.optimum for sweep in sweeps}
    known = {scale: optimum for scale, optimum in optima.items() if optimum is not None}
    varied = [axis for axis in axes if len({sweep.scale[axis] for sweep in sweeps}) > 1]
    joined = _moving_together(varied, sweeps)
    judged = [a for a in axes if a not in joined and (a in varied or a in (target or {}))] or [
        axes[0]
    ]
    remarks = [*table.remarks, *_thin(sweeps)]
    remarks += [
        f"{_capital(follower)} moves with {leader} in every run, so the verdict along {leader} is "
        "about both together."
        for follower, leader in joined.items()
    ]

    joint = _joint_drifts(axes, judged, known)
    remarks += [
        f"No two scales differ in {axis} alone, so its slope is from a fit along "
        f"{' and '.join(joint)} at once, and what it costs isn't known."
        for axis in judged
        if axis in joint and not _alone(axes, joined, axis, known)
    ]

    def verdict(axis: str, scales: Mapping[Scale, Optimum]) -> AxisVerdict:
        lines = _lines(axes, joined, axis, scales)
        return judge_lines(axis, lines, None, (target or {}).get(axis), joint.get(axis))

    verdicts = [verdict(axis, known) for axis in judged]
    length = next((axis for axis in judged[1:] if axis in _LENGTHS), None)
    shortest = known
    if length is not None and known:
        place = axes.index(length)
        least = min(scale[place] for scale in known)
        shortest = {scale: o for scale, o in known.items() if scale[place] == least}
    return TableTransfer(
        table, sweeps, tuple(verdicts), verdict(judged[0], shortest), tuple(remarks)
    )


def _lines(
    axes: Sequence[str], joined: Mapping[str, str], axis: str, scales: Mapping[Scale, Optimum]
) -> dict[Scale, dict[float, Optimum]]:
    """Optima along an axis, by the values of the axes that don't move with it."""
    place = axes.index(axis)
    apart = [axes.index(a) for a in axes if a != axis and joined.get(a, a) != axis]
    lines: dict[Scale, dict[float, Optimum]] = {}
    for scale, optimum in sorted(scales.items()):
        lines.setdefault(tuple(scale[a] for a in apart), {})[scale[place]] = optimum
    return lines


def _alone(
    axes: Sequence[str], joined: Mapping[str, str], axis: str, scales: Mapping[Scale, Optimum]
) -> bool:
    """Whether two scales differ along this axis and no other."""
    return any(len(line) > 1 for line in _lines(axes, joined, axis, scales).values())


def _joint_drifts(
    axes: Sequence[str], judged: Sequence[str], scales: Mapping[Scale, Optimum]
) -> dict[str, Drift]:
    """Slopes along all judged axes from one fit; none where there are too few optima for it."""
    bracketed = {s: o for s, o in scales.items() if o.edge is None and math.isfinite(o.se)}
    if len(judged) < 2 or len(bracketed) < len(judged) + 2:
        return {}
    inputs = {
        axis: np.array([scale[axes.index(axis)] for scale in bracketed], dtype=float)
        for axis in judged
    }
    logs = np.column_stack([np.ones(len(bracketed)), *map(np.log, inputs.values())])
    if np.linalg.matrix_rank(logs - logs.mean(axis=0)) < len(judged):
        return {}
    law = fit_optima_law(
        inputs,
        np.array([optimum.value for optimum in bracketed.values()]),
        np.array([optimum.se for optimum in bracketed.values()]) * math.log(2),
    )
    errors = np.sqrt(np.diag(law.covariance))[1:]
    return {
        axis: Drift(slope, float(error), (low, high))
        for (axis, (slope, low, high)), error in zip(law.exponents().items(), errors, strict=True)
    }


def sweeps_of(runs: Sequence[TuningRun]) -> tuple[Sweep, ...]:
    """One sweep a scale: the runs that share the settings of the best run there.

    Noise is shared between the sweeps (`fit_optima`).
    """
    seeds = {name: place for place, name in enumerate(sorted({run.seed for run in runs}))}
    at_scale: dict[Scale, list[TuningRun]] = {}
    for run in runs:
        at_scale.setdefault(tuple(run.scale.values()), []).append(run)
    lines = {scale: _at_best_settings(group) for scale, group in sorted(at_scale.items())}
    trials = {
        scale: tuple(Trial(run.lr, run.loss, seeds[run.seed]) for run in line)
        for scale, line in lines.items()
    }
    fits = {
        scale: found
        for scale, found in trials.items()
        if len({trial.value for trial in found if trial.loss is not None}) >= 2
    }
    optima = fit_optima(fits)
    return tuple(
        Sweep(line[0].scale, line[0].settings, trials[scale], optima.get(scale))
        for scale, line in lines.items()
    )


def optimum_json(optimum: Optimum | None) -> dict[str, Any] | None:
    """The optimum with its rate and 90 % range in plain rates as well."""
    if optimum is None:
        return None
    low, high = optimum.ci90
    return {
        **optimum.to_json(),
        "lr": optimum.value,
        "lr_ci90": [None if low is None else 2**low, None if high is None else 2**high],
    }


def _at_best_settings(runs: Sequence[TuningRun]) -> list[TuningRun]:
    finite = [(run.loss, place) for place, run in enumerate(runs) if run.loss is not None]
    best = runs[min(finite)[1] if finite else 0]
    return [run for run in runs if run.settings == best.settings]


def _moving_together(axes: Sequence[str], sweeps: Sequence[Sweep]) -> dict[str, str]:
    """The first axis that goes one to one with another one, by the latter's name."""
    joined: dict[str, str] = {}
    for place, leader in enumerate(axes):
        for follower in axes[place + 1 :]:
            if leader in joined or follower in joined:
                continue
            pairs = {(sweep.scale[leader], sweep.scale[follower]) for sweep in sweeps}
            if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
                joined[follower] = leader
    return joined


def _thin(sweeps: Sequence[Sweep]) -> list[str]:
    without = [sweep for sweep in sweeps if sweep.optimum is None]
    if not without:
        return []
    where = ", ".join(f"{axis} {value:g}" for axis, value in without[0].scale.items())
    return [
        f"{len(without)} of {len(sweeps)} scales have fewer than two learning rates with a loss "
        f"(the first: {where}), so they say nothing of the optimum."
    ]


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

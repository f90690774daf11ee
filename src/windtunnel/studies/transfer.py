"""Does the optimum stay put along each axis the study varies, and how far beyond is the target?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from windtunnel.laws.optimum import Optimum, fit_optima
from windtunnel.laws.transfer import AxisVerdict, judge_axis, losses_paid
from windtunnel.studies.study import Study
from windtunnel.studies.tune import STANDARD, trials_of

Cells = Mapping[tuple[str, int, int], Optimum]  # (rule, width, units)


def transfer(study: Study) -> dict[str, Any]:
    """Judge every axis from the tuned sweeps and write `transfer.json`.

    Width is judged under the study's rule at the longest tuned length, which is nearest the
    target, and again at the shortest beside `sp`; length is judged over all widths together.

    Returns:
        `verdict` (the worst over the study's own axes), the slopes along width under both rules,
        and every axis in full.
    """
    cells = _fitted(study)
    rule, lengths = study.spec.rule, study.spec.ladder.units
    along_width = _judge_width(study, cells, rule, lengths[-1])
    own = [along_width, _judge_length(study, cells)]
    beside = {rule: own}
    if rule != STANDARD:
        beside[STANDARD] = [_judge_width(study, cells, STANDARD, lengths[0])]
    at_shortest = _judge_width(study, cells, rule, lengths[0])
    standard = beside.get(STANDARD, [along_width])[0]
    worst = min(own, key=lambda axis: ("drifts", "cannot say", "transfers").index(axis.verdict))
    outcome = {
        "verdict": worst.verdict,
        "reason": worst.reason,
        "slope": along_width.slope,
        "slope_ci90": _listed(along_width.slope_ci90),
        "slope_at_shortest": at_shortest.slope,
        "slope_at_shortest_ci90": _listed(at_shortest.slope_ci90),
        "sp_slope": standard.slope,
        "sp_slope_ci90": _listed(standard.slope_ci90),
        "loss_paid_percent": along_width.loss_paid_percent,
        "axes": [axis.to_json() for axis in own],
        "rules": {name: [axis.to_json() for axis in axes] for name, axes in beside.items()},
    }
    study.write("transfer", outcome)
    return outcome


def _fitted(study: Study) -> Cells:
    return fit_optima(
        {
            (sweep["rule"], sweep["width"], sweep["units"]): trials_of(sweep)
            for sweep in study.needed("tune", "tune")["sweeps"]
            if sweep["optimum"] is not None
        }
    )


def _judge_width(study: Study, cells: Cells, rule: str, units: int) -> AxisVerdict:
    found = {w: o for (r, w, u), o in sorted(cells.items()) if (r, u) == (rule, units)}
    return _judge("width", found, study.spec.base.width, study.spec.target.width)


def _judge_length(study: Study, cells: Cells) -> AxisVerdict:
    """Along length at the base's width, or at the ladder's middle one if the base is no proxy."""
    widths = study.spec.ladder.width
    width = study.spec.base.width if study.spec.base.width in widths else widths[len(widths) // 2]
    rule = study.spec.rule
    found = {u: o for (r, w, u), o in sorted(cells.items()) if (r, w) == (rule, width)}
    shortest = study.spec.ladder.units[0]
    return _judge(study.spec.unit, found, shortest, study.spec.target.units)


def _judge(axis: str, found: Mapping[int, Optimum], base: int, target: int) -> AxisVerdict:
    values: Sequence[int] = tuple(found)
    optima = tuple(found.values())
    quoted_at = base if base in found else min(values, default=base)
    losses = losses_paid(values, optima, quoted_at) if values else []
    return judge_axis(axis, values, optima, losses, target)


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)

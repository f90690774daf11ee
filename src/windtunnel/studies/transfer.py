"""Does the optimum stay put along each axis the study varies, and how far beyond is the target?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from windtunnel.laws.optimum import Optimum, fit_optima
from windtunnel.laws.transfer import AxisVerdict
from windtunnel.laws.transfer_axes import judge_lines
from windtunnel.studies.study import STANDARD, Study
from windtunnel.studies.tune import trials_of

_WORST_FIRST = ("drifts", "cannot say", "transfers")

Cells = Mapping[tuple[str, int, int], Optimum]  # (rule, width, units)


def transfer(study: Study) -> dict[str, Any]:
    """Judge every axis from the tuned sweeps and write `transfer.json`.

    Under the study's rule the slope along width is fitted to both tuned lengths together, and
    that along length to all widths together; `sp` was tuned at the shortest length only.

    Returns:
        `verdict` (the worst over the study's own axes), the slopes along width under both rules,
        and every axis in full.
    """
    tuned = study.needed("tune", "tune")
    if "axes" in tuned:
        return _as_the_policy_says(study, tuned["axes"])
    cells = _fitted(study)
    rule, lengths = study.rule, study.spec.ladder.units
    along_width = _judge_width(study, cells, rule, sorted({lengths[0], lengths[-1]}))
    own = [along_width, _judge_length(study, cells)]
    if study.target.depth != study.spec.ladder.depth:
        own.append(_judge_depth(study, cells))
    beside = {rule: own}
    if STANDARD in study.rules and rule != STANDARD:
        beside[STANDARD] = [_judge_width(study, cells, STANDARD, lengths[:1])]
    at_shortest = _judge_width(study, cells, rule, lengths[:1])
    standard = beside.get(STANDARD, [along_width])[0]
    worst = min(own, key=lambda axis: _WORST_FIRST.index(axis.verdict))
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


def _as_the_policy_says(study: Study, searched: list[dict[str, Any]]) -> dict[str, Any]:
    """The verdicts of a policy that judges for itself; `sp` was not searched."""
    axes = list(searched)
    if study.target.depth != study.spec.ladder.depth:
        axes.append(_judge_depth(study, {}).to_json())
    worst = min(axes, key=lambda axis: _WORST_FIRST.index(axis["verdict"]))
    outcome = {
        "verdict": worst["verdict"],
        "reason": worst["reason"],
        "slope": axes[0]["slope"],
        "slope_ci90": axes[0]["slope_ci90"],
        **dict.fromkeys(("slope_at_shortest", "slope_at_shortest_ci90")),
        **dict.fromkeys(("sp_slope", "sp_slope_ci90", "loss_paid_percent")),
        "axes": axes,
        "rules": {study.rule: axes},
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


def _judge_width(study: Study, cells: Cells, rule: str, lengths: Sequence[int]) -> AxisVerdict:
    lines = {
        units: {w: o for (r, w, u), o in sorted(cells.items()) if (r, u) == (rule, units)}
        for units in lengths
    }
    return judge_lines("width", lines, study.spec.base.width, study.spec.target.width)


def _judge_length(study: Study, cells: Cells) -> AxisVerdict:
    rule = study.rule
    lines = {
        width: {u: o for (r, w, u), o in sorted(cells.items()) if (r, w) == (rule, width)}
        for width in study.spec.ladder.width
    }
    return judge_lines(study.spec.unit, lines, study.spec.ladder.units[0], study.spec.target.units)


def _judge_depth(study: Study, cells: Cells) -> AxisVerdict:
    """One depth was tuned: what another does cannot be said."""
    depth = study.spec.ladder.depth
    own = next((o for (rule, _, _), o in cells.items() if rule == study.rule), None)
    return judge_lines("depth", {} if own is None else {0: {depth: own}}, depth, study.target.depth)


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)

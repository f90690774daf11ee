"""Search a study's hyperparameters with one of `windtunnel.search.policies`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from windtunnel.errors import CannotSayError
from windtunnel.laws.transfer import SLOPE_LIMIT, AxisVerdict, Verdict
from windtunnel.report.formatting import amount
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run
from windtunnel.search.policies.halving import best_row
from windtunnel.search.policies.ladder import LadderPolicy
from windtunnel.search.policy import Policy
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial
from windtunnel.studies.execute import execute
from windtunnel.studies.policies import (
    StudyTrials,
    rate_drift,
    scale_axes,
    study_policy,
    study_space,
)
from windtunnel.studies.study import Study

_EDGE = 0.02  # of a range's length in log


def policy_tune(study: Study, progress: StudyProgress) -> dict[str, Any]:
    """Run the search, or what is missing of it, and write `tune.json`.

    Returns:
        `rule`, `policy`, `trials`, `sweeps` (every run, by width and length, without optima),
        `reason`, and what follows from them: `recommended` (the target's hyperparameters, `edges`
        naming those at an end of their range), `recipes` (what is best at each scale of the
        ladder) and `axes` (whether that can be taken to the target).

    Raises:
        CannotSayError: Nothing was trained, or all of it diverged.
    """
    policy, runs = study_policy(study)

    def learned(table: Sequence[Row[Run]]) -> str:
        return _learned(policy, runs.trials(table))

    table, reason = execute(study, "tune", runs, progress, learned=learned, searches=True)
    rows = runs.trials(table)
    if not any(row.loss is not None for row in rows):
        raise CannotSayError(
            f"tune: all {len(rows)} runs diverged; lower search.hyperparameters.lr, or see "
            f"`windtunnel runs list {study.folder}`"
        )
    found = (
        _ladder_outcome(study, policy, rows)
        if isinstance(policy, LadderPolicy)
        else _best_outcome(study, rows)
    )
    outcome = {
        "rule": study.rule,
        "policy": study.spec.search.policy.name,
        "trials": len(rows),
        "sweeps": _sweeps(study, table),
        "reason": reason,
        **found,
    }
    study.write("tune", outcome)
    return outcome


def _learned(policy: Policy[Trial], rows: Sequence[Row[Trial]]) -> str:
    """What the runs so far say of the target, or are best at."""
    if isinstance(policy, LadderPolicy):
        said = policy.outcome(rows)
        low, high = said.ci90["lr"]
        return (
            f"lr {said.values['lr']:.3g} ({low:.2g} to {high:.2g}) at the target, expected to "
            f"cost {100 * said.regret:.2g} %"
        )
    finished = [row for row in rows if row.loss is not None]
    if not finished:
        return ""
    best = best_row(finished)
    return f"best loss {best.loss:.4g} at lr {float(best.run.values['lr']):.3g}"


def _ladder_outcome(
    study: Study, policy: LadderPolicy, rows: Sequence[Row[Trial]]
) -> dict[str, Any]:
    """What the joint surrogate says of every scale."""
    said = policy.outcome(rows)
    width, unit = scale_axes(study)
    drifts = policy.drifts(rows)["lr"]
    expected = {width: rate_drift(study), unit: 0.0}
    axes = []
    for axis in (width, unit):
        slope, low, high = (
            expected[axis] + part for part in (drifts[axis].slope, *drifts[axis].ci90)
        )
        values = {float(row.run.values[axis]) for row in rows if row.loss is not None}
        steep = min(abs(low), abs(high)) > SLOPE_LIMIT and low * high > 0
        verdict: Verdict = "transfers" if said.settled else "drifts" if steep else "cannot say"
        which = " and ".join(said.directly) or "them all"
        reason = (
            f"the best learning rate moves by {slope:+.2f} octaves a doubling (90 % range "
            f"{low:+.2f} to {high:+.2f}), and the target's recipe is expected to cost "
            f"{100 * said.regret:.2g} % of loss"
        )
        settle = None if said.settled else f"tuning {which} at the target"
        if len(values) < 2:
            verdict, settle = "cannot say", f"runs at another {axis}"
            reason = f"every run had the same {axis}, so that the range is a belief: {reason}"
        slopes = slope, (low, high)
        axes.append(_axis(study, axis, verdict, reason, settle, values, slopes))
    return {
        "recommended": _recipe(said.values, study, said.ci90["lr"]),
        "regret": said.regret,
        "directly": list(said.directly),
        "recipes": [
            {"width": int(scale[width]), "units": int(scale[unit]), **_recipe(values, study)}
            for scale, values in policy.recipes(rows)
        ],
        "axes": [axis.to_json() for axis in axes],
    }


def _best_outcome(study: Study, rows: Sequence[Row[Trial]]) -> dict[str, Any]:
    """One recipe for every scale: the rule's, or the command's own, promise."""
    best = best_row([row for row in rows if row.loss is not None]).run
    values = {name: float(value) for name, value in best.values.items()}
    recipe = _recipe(values, study)
    width, unit = scale_axes(study)
    best_at = StudyTrials(study).run_of(best).scale
    where = f"width {best_at.width:,} and {amount(best_at.units)} {unit}"
    reason = f"{study.spec.search.policy.name} compares recipes at one scale ({where})"
    wider = "the policy brackets or ladder, which search several scales,"
    return {
        "recommended": recipe,
        "recipes": [
            {"width": w, "units": units, **recipe}
            for w in study.spec.ladder.width
            for units in study.spec.ladder.units
        ],
        "axes": [
            _axis(study, axis, "cannot say", reason, wider, {tuned_at}).to_json()
            for axis, tuned_at in ((width, best_at.width), (unit, best_at.units))
        ],
    }


def _recipe(
    values: Mapping[str, float], study: Study, lr_ci90: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Hyperparameters as the forecast has them; which lie at an end of what was allowed."""
    space = study_space(study)
    return {
        "lr": values["lr"],
        "lr_ci90": None if lr_ci90 is None else list(lr_ci90),
        "others": {name: value for name, value in values.items() if name != "lr"},
        "edges": [
            name
            for name, parameter in space.parameters.items()
            if not _EDGE < parameter.unit(values[name]) < 1 - _EDGE
        ],
    }


def _axis(
    study: Study,
    axis: str,
    verdict: Verdict,
    reason: str,
    next_run: str | None,
    varied: Collection[float],
    slope: tuple[float, tuple[float, float]] | None = None,
) -> AxisVerdict:
    width, _ = scale_axes(study)
    target = study.target.width if axis == width else study.target.units
    return AxisVerdict(
        axis=axis,
        verdict=verdict,
        slope=None if slope is None else slope[0],
        slope_ci90=None if slope is None else slope[1],
        loss_paid_percent=None,
        varied=(float(min(varied)), float(max(varied))),
        target=float(target),
        target_ratio=max(1.0, target / max(varied)),
        reason=reason,
        next_run=next_run,
    )


def _sweeps(study: Study, table: Sequence[Row[Run]]) -> list[dict[str, Any]]:
    """Every run that ended, by width and length."""
    places: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in table:
        if row.done and row.state != "failed":
            scale = row.run.scale
            places.setdefault((scale.width, scale.units), []).append(
                {"lr": row.run.recipe.lr, "loss": row.loss, "seed": row.run.init_seed}
            )
    return [
        {
            "rule": study.rule,
            "width": width,
            "depth": study.spec.ladder.depth,
            "units": units,
            "others": {},
            "points": points,
            "optimum": None,
        }
        for (width, units), points in sorted(places.items())
    ]

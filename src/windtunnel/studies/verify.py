"""Was the forecast made first, and was it right? For a target trained here or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.report.content import Sentence, Tone
from windtunnel.report.formatting import amount, moment
from windtunnel.studies.study import Study
from windtunnel.studies.trained_run import Moment, TrainedRun, read_trained_run
from windtunnel.studies.words import target_sentence

# Logs stop up to a few steps before the end, and count from 0 or 1.
_LENGTH_TOLERANCE = 0.02
_ANY_ZONE = timedelta(hours=14)  # the farthest a time without a zone may be from UTC
_CLOCKS = timedelta(minutes=1)  # between two machines


def verify(
    study: Study, run: Path | None = None, columns: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Hold the forecast against the target's run.

    A run from elsewhere is written to `target.json`, marked as imported, so that the report shows
    it; not where the study has trained its target itself, nor where the forecast came too late.

    Args:
        study: A study with a forecast.
        run: The run's metrics (CSV, JSON lines); by default the target that the study trained.
        columns: Headings by name, where the guess is wrong.

    Returns:
        What `target.json` holds, with `verdict` (`inside`, `missed`, `too late`: the forecast was
        not made first, `cannot say`), `made_first` (None where it can't be known) and why.

    Raises:
        WindtunnelError: There is no forecast or no target, or the run is another one's.
        NegativeVerdictError: The run diverged.
    """
    forecast = study.needed("forecast", "forecast")
    if run is None:
        target = study.needed("target", "train")
        outcome = target if "imported" in target else {**target, **_made_first_here(target)}
    else:
        outcome = _from_elsewhere(study, forecast, run, columns or {})
    verdict = _verdict(outcome)
    kept = study.read("target")
    if run is not None and verdict != "too late" and (kept is None or "imported" in kept):
        study.write("target", outcome)
    return {"verdict": verdict, "made_at": forecast["made_at"], **outcome}


def verify_sentences(outcome: Mapping[str, Any], study: Study) -> list[Sentence]:
    """What the target reached against the forecast, and whether that was one."""
    first = outcome["made_first"]
    tone: Tone = "warn" if first is None else "good" if first else "bad"
    found = [
        target_sentence(outcome, study),
        Sentence("Made first", outcome["first_reason"], tone),
    ]
    return found + [Sentence("Run", remark, "warn") for remark in outcome.get("remarks", ())]


def _verdict(outcome: Mapping[str, Any]) -> str:
    if outcome["made_first"] is False:
        return "too late"
    if outcome["inside"] is False:
        return "missed"
    return "cannot say" if None in (outcome["inside"], outcome["made_first"]) else "inside"


def _made_first_here(target: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "made_first": True,
        "first_reason": "The study wrote its forecast down before it trained the target, which "
        f"finished {moment(target['finished_at'])}.",
    }


def _from_elsewhere(
    study: Study, forecast: Mapping[str, Any], path: Path, columns: Mapping[str, str]
) -> dict[str, Any]:
    run = read_trained_run(path, columns, study.spec.metric.name)
    remarks = _differences(study, run)
    first, reason = made_first(datetime.fromisoformat(forecast["made_at"]), run)
    said = forecast["loss"]
    ci90: list[float] | None = forecast["ci90"]
    return {
        "loss": run.loss,
        "loss_se": None,
        "error_percent": None if said is None else 100 * (said - run.loss) / run.loss,
        "inside": None if ci90 is None else ci90[0] <= run.loss <= ci90[1],
        "params": forecast["params"],
        "params_non_embedding": forecast["params"],
        "units": study.target.units,
        study.spec.unit: study.target.units,
        "flops": None,
        "finished_at": None if run.finished is None else run.finished.at.isoformat(),
        "started_at": None if run.started is None else run.started.at.isoformat(),
        "made_first": first,
        "first_reason": reason,
        "remarks": remarks,
        "imported": {"source": run.source, "columns": dict(run.columns)},
    }


def _differences(study: Study, run: TrainedRun) -> list[str]:
    """Refuse another run than the target's; say what the file leaves open."""
    target, unit = study.target, study.spec.unit
    remarks = []
    for axis, wanted in (("width", target.width), ("depth", target.depth)):
        found = run.sizes.get(axis)
        if found is not None and found != wanted:
            raise WindtunnelError(
                f"{run.source}: this is no run of the target: {axis} {found:g}, and the target's "
                f"is {wanted}"
            )
        if found is None:
            remarks.append(f"The file doesn't say its {axis}; it was taken as the target's.")
    reached = run.sizes.get(unit)
    if reached is None and unit != "steps" and "steps" in run.sizes:
        reached = run.sizes["steps"] * study.spec.recipe.batch
        remarks.append(
            f"The file has no {unit}; its {run.sizes['steps']:,.0f} steps were taken as "
            f"{amount(reached)} of them, {amount(study.spec.recipe.batch)} a step."
        )
    if reached is None:
        return [*remarks, f"The file doesn't say its {unit}; they were taken as the target's."]
    slack = max(_LENGTH_TOLERANCE * target.units, 2 * study.spec.recipe.batch)
    if abs(reached - target.units) > slack:
        raise WindtunnelError(
            f"{run.source}: this is no run of the target: it ends at {amount(reached)} {unit}, and "
            f"the target is trained on {amount(target.units)}"
        )
    return remarks


def made_first(made_at: datetime, run: TrainedRun) -> tuple[bool | None, str]:
    """Whether a forecast was made before a run began, as far as time stamps tell, and why."""
    when = f"The forecast was made {moment(made_at.isoformat())}"
    start, end = run.started, run.finished
    unsure = timedelta(0) if all(t is None or t.zoned for t in (start, end)) else _ANY_ZONE
    if start is not None and made_at < start.at - unsure:
        return True, f"{when}, and the run began {_said(start)}: the forecast came first."
    if end is not None and made_at > end.at + unsure:
        return False, f"{when}, and the run ended {_said(end)}, before that: it is no forecast."
    if run.written < made_at - _CLOCKS:
        written = moment(run.written.isoformat(timespec="seconds"))
        return False, (
            f"{when}, and {run.source} was last written {written}, before that: it is no forecast."
        )
    if start is not None and not unsure:
        return False, f"{when}, and the run had begun {_said(start)}: it is no forecast."
    if start is None and end is None:
        why = "has no time stamps; export them (W&B: _timestamp), or name the column: --columns "
        why += "time=HEADING"
    elif start is None:
        why = "has only the time stamp of its end; name the column of its begin: --columns "
        why += "started=HEADING"
    else:
        why = "gives times without a zone, too near to the forecast's"
    return None, f"{when}. Whether the run began before can't be known: {run.source} {why}."


def _said(stamp: Moment) -> str:
    zone = "" if stamp.zoned else " (in a zone not given)"
    return moment(stamp.at.isoformat(timespec="seconds")) + zone

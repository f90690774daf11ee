"""`summary.json`: the study's numbers in one place, for machines and for the last lines printed."""

from __future__ import annotations

from typing import Any

from windtunnel.studies.execute import results
from windtunnel.studies.imported_sweeps import imported_summary
from windtunnel.studies.study import STANDARD, Study


def summarise(study: Study) -> dict[str, Any]:
    """Collect what the steps wrote; a step that has not run is null."""
    return {
        "rule": study.rule,
        "optimizer": study.spec.optimizer,
        "coordinate_check": _check(study),
        "transfer": _part(
            study.read("transfer"),
            "verdict slope slope_ci90 slope_at_shortest slope_at_shortest_ci90 sp_slope "
            "sp_slope_ci90 loss_paid_percent axes",
        ),
        "tuned": _tuned(study),
        "forecast": _part(study.read("forecast"), "loss ci90 verdict reason made_at"),
        "target": _part(
            study.read("target"),
            f"loss loss_se error_percent inside params {study.spec.unit} flops",
        ),
        "cost": cost(study),
        "imported": imported_summary(study),
    }


def cost(study: Study) -> dict[str, Any]:
    """FLOPs, runs and wall clock of the study so far.

    `tuning_flops` are the runs under the study's own rule (search and law), `diagnostic_flops`
    those under `sp` for contrast, `direct_flops` what the target would have cost at as many rates
    as the most thoroughly searched scale took.
    """
    found = results(study)
    tuning = found["tune"] + found["fit"]
    own = [r for r in tuning if r["run"].rule == study.rule]
    rates: dict[Any, set[float]] = {}
    for result in own:
        rates.setdefault(result["run"].scale, set()).add(result["run"].recipe.lr)
    direct_rates = max(map(len, rates.values()), default=0)
    target_flops = study.target.units * study.family.flops_per_unit(
        study.target, study.spec.data.sequence_length
    )
    every = tuning + found["target"]
    return {
        "tuning_flops": sum(r["flops"] for r in own),
        "diagnostic_flops": sum(r["flops"] for r in tuning) - sum(r["flops"] for r in own),
        "target_flops": target_flops,
        "direct_rates": direct_rates,
        "direct_flops": direct_rates * target_flops,
        "wall_seconds": (study.read("clock") or {"wall_seconds": 0.0})["wall_seconds"],
        "runs": len(every),
        "diverged": sum(r["status"] == "diverged" for r in every),
        "steps": {
            step: {
                "runs": len(rows),
                "flops": sum(r["flops"] for r in rows),
                "seconds": sum(r["seconds"] for r in rows),
            }
            for step, rows in found.items()
        },
    }


def _check(study: Study) -> dict[str, Any] | None:
    own, standard = study.read(f"check-{study.rule}"), study.read(f"check-{STANDARD}")
    if own is None or standard is None:
        return None
    return {
        "verdict": own["verdict"],
        "max_abs_slope": own["max_abs_slope"],
        "sp_verdict": standard["verdict"],
        "sp_max_abs_slope": standard["max_abs_slope"],
    }


def _tuned(study: Study) -> dict[str, Any] | None:
    forecast = study.read("forecast")
    return None if forecast is None else {"lr": forecast["lr"], "lr_ci90": forecast["lr_ci90"]}


def _part(value: dict[str, Any] | None, fields: str) -> dict[str, Any] | None:
    return None if value is None else {field: value[field] for field in fields.split()}

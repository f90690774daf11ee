"""Train the target once, and hold the forecast against what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from windtunnel.errors import NegativeVerdictError, WindtunnelError
from windtunnel.report.progress import StudyProgress
from windtunnel.scale import Run, Skip
from windtunnel.search.fixed import FixedPolicy
from windtunnel.search.policy import Decision
from windtunnel.studies.execute import execute, results
from windtunnel.studies.study import Study
from windtunnel.studies.target_lock import target_held

# Narrow models gain little from a second thread, and on a busy machine every step then waits for
# the slowest of them.
WIDTH_FOR_THREADS = 256


def target_run(study: Study, forecast: Mapping[str, Any]) -> Run:
    """The target's one run, at the forecast's rate and whatever else was tuned."""
    recipe = study.spec.recipe.recipe(lr=forecast["lr"]).replace(**forecast.get("others", {}))
    run = study.run(study.rule, study.target, recipe)
    skip = study.spec.training.skip
    return run if skip is None else run.replace(skip=Skip(skip.limit, skip.spike))


def target_runs(study: Study, forecast: Mapping[str, Any]) -> list[Run]:
    """The target's run, after those that diverged under another `training.skip`.

    Raises:
        WindtunnelError: One of those finished: the target is trained once.
    """
    run = target_run(study, forecast)
    before = [found for found in results(study)["target"] if found["run"] != run]
    before = [found for found in before if found["run"].replace(skip=run.skip) == run]
    if any(found["status"] != "diverged" for found in before):
        raise WindtunnelError(
            "training.skip: the target was trained already, under another one; put that back, or "
            "start a study in a new folder."
        )
    return [*(found["run"] for found in before), run]


def _too_many_skipped(run: Run, result: Mapping[str, Any]) -> str:
    skipped = result.get("skipped") or []
    if run.skip is None or len(skipped) <= run.skip.limit:
        return ""
    return (
        f", when {len(skipped)} steps had been skipped (training.skip.limit: {run.skip.limit}); "
        f"at the last, {skipped[-1][1]}"
    )


def train_target(study: Study, progress: StudyProgress) -> dict[str, Any]:
    """Train the target with the transferred hyperparameters and write `target.json`.

    The forecast was written down before; it is read here and never changed afterwards.

    Raises:
        WindtunnelError: No forecast has been made, or another process trains the target now.
        NegativeVerdictError: The target diverged.
    """
    forecast = study.needed("forecast", "forecast")
    *before, run = target_runs(study, forecast)
    purpose = "target: the one run at the target's scale"
    known = any(found["run"] == run for found in results(study)["target"])
    with nullcontext() if known or study.spec.run is not None else target_held(study):
        execute(
            study,
            "target",
            FixedPolicy([Decision(decided, purpose) for decided in (*before, run)]),
            progress,
            alone=True,
            threads=_threads(study),
        )
    (result,) = (found for found in results(study)["target"] if found["run"] == run)
    if result["status"] == "diverged":
        raise NegativeVerdictError(
            f"target: diverged at step {result['steps']:,} with lr {forecast['lr']:.3g}"
            f"{_too_many_skipped(run, result)}. The forecast is refuted; `windtunnel report "
            f"{study.folder}` shows how its rate transferred."
        )
    loss, said = result["loss"], forecast["loss"]
    low, high = forecast["ci90"] or (None, None)
    outcome = {
        "loss": loss,
        "loss_se": result["loss_se"],
        "error_percent": None if said is None else 100 * (said - loss) / loss,
        "inside": None if low is None else low <= loss <= high,
        "params": result["params"],
        "params_non_embedding": result["params_non_embedding"],
        "units": result["units"],
        study.spec.unit: result["units"],
        "flops": result["flops"],
        "seconds": result["seconds"],
        "environment": result["environment"],
        "exact": result["exact"],
        "skipped": result.get("skipped", []),  # a command's runs and older ones say nothing
        "utilisation": result.get("utilisation"),
        "weights": None
        if study.spec.run is not None
        else str(Path("runs", run.key, "model.safetensors")),
        "finished_at": (study.read("target") or {}).get("finished_at")
        or datetime.now(UTC).isoformat(timespec="seconds"),
    }
    study.write("target", outcome)
    return outcome


def _threads(study: Study) -> int:
    if study.spec.run is not None or study.target.width < WIDTH_FOR_THREADS:
        return 1
    from windtunnel.training.device import usable_cores

    return usable_cores()

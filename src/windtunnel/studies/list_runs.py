"""Every run of a study as plain values: what it is, why, and what came of it."""

from __future__ import annotations

from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.search.drive import PHASE_SIZE
from windtunnel.search.study_store import has_store, study_store
from windtunnel.studies.execute import IMPORTED_PHASE, step_of
from windtunnel.studies.study import Study


def list_runs(study: Study) -> list[dict[str, Any]]:
    """The study's runs by number.

    Returns:
        Of each `number`, `step` (`imported` for one paid for elsewhere), `purpose`, `state`,
        `rule`, `width`, `depth`, `units`, `lr`, `seed`, `loss`, `loss_se`, `flops`, `seconds`,
        `progress` (0 to 1, of a running one), `error` and `key`.

    Raises:
        WindtunnelError: The study has decided on no run yet.
    """
    if not has_store(study.folder):
        raise WindtunnelError(f"runs: {study.folder} has no runs yet; windtunnel tune begins them")
    store = study_store(study.folder)
    try:
        rows, results = store.list(), store.results()
        under_way = {p.number: p.step / p.steps for p in store.progress() if p.steps}
    finally:
        store.close()
    listed = []
    for row in rows:
        run, result = row.run, results.get(row.number, {})
        imported = row.number // PHASE_SIZE == IMPORTED_PHASE
        listed.append(
            {
                "number": row.number,
                "step": "imported" if imported else step_of(row.number),
                "purpose": row.purpose,
                "state": row.state,
                "rule": run.rule,
                "width": run.scale.width,
                "depth": run.scale.depth,
                "units": run.scale.units,
                "lr": run.recipe.lr,
                "seed": run.init_seed,
                "loss": row.loss,
                "loss_se": row.loss_se,
                "flops": result.get("flops"),
                "seconds": result.get("seconds"),
                "progress": under_way.get(row.number),
                "error": row.error,
                "key": run.key,
            }
        )
    return listed

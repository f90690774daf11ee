"""A study's runs for optuna-dashboard."""

from __future__ import annotations

from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.search.optuna_adapter.address import parse_address
from windtunnel.search.optuna_adapter.export import export_runs
from windtunnel.search.study_store import has_store, study_store
from windtunnel.studies.study import Study


def export_to_optuna(study: Study, address: str) -> dict[str, Any]:
    """Add the study's runs that are done to an Optuna storage, each once.

    Args:
        study: An open study.
        address: `optuna:URL`, or `optuna:URL#NAME` for another name than the study's.

    Returns:
        How many were `added`, the `name` there and the `storage`.

    Raises:
        WindtunnelError: The study has no runs yet, Optuna is missing, or the storage can't be used.
    """
    if not has_store(study.folder):
        raise WindtunnelError(
            f"{study.folder}: has no runs yet; first run `windtunnel tune {study.folder}`"
        )
    url, name = parse_address(address)
    store = study_store(study.folder)
    try:
        rows = store.list()
    finally:
        store.close()
    target = study.target
    added = export_runs(
        rows,
        address,
        study=study.spec.name,
        attributes={
            "rule": study.rule,
            "metric": study.spec.metric.name,
            "unit": study.spec.unit,
            "target": f"width {target.width}, depth {target.depth}, {target.units:,} units",
        },
    )
    return {"added": added, "name": name or study.spec.name, "storage": url}

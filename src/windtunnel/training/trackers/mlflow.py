"""MLflow, by its skinny package: a database file in the run's folder, or the user's own server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from windtunnel.scale import Run
from windtunnel.training.trackers.tracker import result_numbers

_TAG = "windtunnel.run"  # holds the run's key, by which a resumed run finds its record
_WRITE_SECONDS = 1.0  # between writes: each is a transaction or a request
_MOST_METRICS = 1000  # that one request may hold
_LONGEST_VALUE = 500  # characters of a parameter, MLflow's own bound before 2.8


class MLflowTracker:
    """Logs to `mlflow.db` in the run's folder unless `MLFLOW_TRACKING_URI` is set.

    Telemetry is off unless the user turned it on. Steps that are logged again after a stop are
    there twice, with equal values where the run is exact.
    """

    def __init__(self) -> None:
        # MLflow reads them when it is imported.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        import mlflow

        self._mlflow: Any = mlflow
        self._unwritten: list[Any] = []
        self._written_at = time.monotonic()
        self._last = 0

    def start(self, run: Run, folder: Path, step: int, /) -> None:
        """See `Tracker`."""
        own = os.environ.get("MLFLOW_TRACKING_URI")
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        uri = own or f"sqlite:///{folder / 'mlflow.db'}"
        self._client = self._mlflow.MlflowClient(tracking_uri=uri)
        self._last = step
        experiment = self._experiment(None if own else (folder / "mlflow-artifacts").as_uri())
        found = self._client.search_runs([experiment], f"tags.`{_TAG}` = '{run.key}'")
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        name = f"{run.family} {run.scale.width}x{run.scale.depth} {run.key[:8]}"
        created = self._client.create_run(experiment, run_name=name, tags={_TAG: run.key})
        self._id = created.info.run_id
        parameter = self._mlflow.entities.Param
        parameters = [parameter(*pair) for pair in _flat(run.to_json()).items()]
        self._client.log_batch(self._id, params=parameters)

    def log(self, step: int, numbers: Mapping[str, float], /) -> None:
        """See `Tracker`; it is written once a second."""
        self._last, stamp = step, int(1000 * time.time())
        metric = self._mlflow.entities.Metric
        self._unwritten += [metric(name, value, stamp, step) for name, value in numbers.items()]
        if time.monotonic() - self._written_at >= _WRITE_SECONDS:
            self._write()

    def finish(self, result: Mapping[str, Any] | None, /) -> None:
        """See `Tracker`; a run that was stopped stays `RUNNING`, as MLflow has no such state."""
        if result is not None:
            self.log(self._last, result_numbers(result))
        self._write()
        if result is not None:
            self._client.set_tag(self._id, "windtunnel.status", str(result.get("status")))
            self._client.set_terminated(self._id)

    def _experiment(self, artifacts: str | None) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "windtunnel")
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=artifacts))
            except self._mlflow.exceptions.MlflowException:  # another process was first
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _write(self) -> None:
        for first in range(0, len(self._unwritten), _MOST_METRICS):
            part = self._unwritten[first : first + _MOST_METRICS]
            self._client.log_batch(self._id, metrics=part)
        self._unwritten.clear()
        self._written_at = time.monotonic()


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """A description's values by dotted name, as text."""
    found: dict[str, str] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found |= _flat(inner, f"{before}{name}.")
        else:
            found[before + name] = str(inner)[:_LONGEST_VALUE]
    return found

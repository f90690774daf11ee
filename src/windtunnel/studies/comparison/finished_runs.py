"""What the methods' studies trained, as the table that verdicts are read from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from windtunnel.comparing.finished import FinishedRun, MethodRuns, Stage
from windtunnel.laws.table import Metric
from windtunnel.optimizers import optimizer_method
from windtunnel.scale import Run
from windtunnel.search.study_store import study_store
from windtunnel.studies.comparison.methods import FINAL, FIRST_SEED, MethodStudy
from windtunnel.studies.execute import COMPARE, results, step_of

_FLOAT_BYTES = 4


def finished_runs(methods: Iterable[MethodStudy], source: str) -> MethodRuns:
    """All runs of all methods, tuning included.

    Args:
        methods: Carried out.
        source: What the table is called in messages.
    """
    found: list[FinishedRun] = []
    unit, metric = "tokens", "loss"
    for method in methods:
        unit, metric = method.study.spec.unit, method.study.spec.metric.name
        state = _State(method)
        purposes = _purposes(method)
        for step, stage in (("tune", "tuning"), (COMPARE, FINAL)):
            for result in results(method.study)[step]:
                run: Run = result["run"]
                kept = stage if step == "tune" else purposes[run.key]
                found.append(_finished(method, run, result, kept, len(found) + 1, state))
    return MethodRuns(source, tuple(found), unit, Metric(metric, "loss", "nats"))


def _purposes(method: MethodStudy) -> dict[str, str]:
    store = study_store(method.study.folder)
    try:
        return {row.run.key: row.purpose for row in store.list() if step_of(row.number) == COMPARE}
    finally:
        store.close()


class _State:
    """Bytes of an optimizer's state by scale, counted once each."""

    def __init__(self, method: MethodStudy) -> None:
        self._study = method.study
        self._known: dict[tuple[int, int], float | None] = {}

    def bytes_of(self, run: Run) -> float | None:
        """Of the run's optimizer in float32; None where a command keeps it to itself."""
        if self._study.spec.run is not None:
            return None
        place = run.scale.width, run.scale.depth
        if place not in self._known:
            self._known[place] = self._count(run)
        return self._known[place]

    def _count(self, run: Run) -> float | None:
        from windtunnel.parametrization.plan import plan

        own = optimizer_method(run.optimizer)
        entries = plan(self._study.family, run.base, run.scale, run.rule, run.optimizer)
        total = 0
        for entry in entries:
            method = own if entry.method == own.name or own.elsewhere is None else own.elsewhere
            if method.rule is None or method.rule.state_size is None:
                return None
            total += method.rule.state_size(entry.shape)
        return float(_FLOAT_BYTES * total)


def _finished(
    method: MethodStudy,
    run: Run,
    result: dict[str, Any],
    stage: str,
    line: int,
    state: _State,
) -> FinishedRun:
    kept: Stage = "tuning" if stage == "tuning" else "final" if stage == FINAL else "spot check"
    searched = method.study.spec.search.hyperparameters
    params = result.get("params_non_embedding") or result.get("params")
    return FinishedRun(
        line=line,
        method=method.name,
        scale={"width": float(run.scale.width), "depth": float(run.scale.depth)},
        units=float(run.scale.units),
        seed=str(run.init_seed % 1000 - FIRST_SEED if kept != "tuning" else run.init_seed % 1000),
        loss=float("inf") if result["loss"] is None else float(result["loss"]),
        flops=float(result["flops"]),
        seconds=float(result["seconds"]),
        params=None if params is None else float(params),
        state_bytes=state.bytes_of(run),
        settings={name: float(getattr(run.recipe, name)) for name in searched},
        stage=kept,
    )

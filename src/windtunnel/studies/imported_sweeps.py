"""Runs paid for elsewhere, among the sweeps of a study's search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windtunnel.laws.optimum import Trial, fit_optima
from windtunnel.laws.sweeps.judge import optimum_json
from windtunnel.scale import Run
from windtunnel.search.drive import PHASE_SIZE
from windtunnel.search.study_store import has_store, study_store
from windtunnel.studies.execute import IMPORTED_PHASE
from windtunnel.studies.study import Study

Place = tuple[str, int, int, int]  # rule, width, depth, units


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run of the store that was trained elsewhere.

    Attributes:
        number: In the store.
        run: What it is in this study.
        loss: None if it diverged.
        origin: `source`, `line`, `seed` (as the table has it), `replicate` (the study's number for
            that seed) and `extra` (whether its scale is off the ladder, so that no step uses it).
    """

    number: int
    run: Run
    loss: float | None
    origin: Mapping[str, Any]


def imported_runs(study: Study) -> list[ImportedRun]:
    """Every imported run, in the order in which they came."""
    if not has_store(study.folder):
        return []
    store = study_store(study.folder)
    try:
        found = store.results()
        return [
            ImportedRun(row.number, row.run, row.loss, found[row.number]["imported"])
            for row in store.list()
            if row.number // PHASE_SIZE == IMPORTED_PHASE
        ]
    finally:
        store.close()


def imported_summary(study: Study) -> dict[str, Any] | None:
    """How many runs came from where; None if none did."""
    runs = imported_runs(study)
    if not runs:
        return None
    return {
        "runs": len(runs),
        "extra": sum(run.origin["extra"] for run in runs),
        "diverged": sum(run.loss is None for run in runs),
        "sources": sorted({run.origin["source"] for run in runs}),
    }


def with_imported(study: Study, sweeps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The study's sweeps with imported runs among their points, and all optima fitted again.

    A run that the study has trained itself counts once; one that its search found imported already
    is marked like the others. Of what is searched beside the learning
    rate, a sweep keeps the values it has; one of imported runs alone takes its best run's.

    Args:
        study: The study.
        sweeps: As in `tune.json`; points of an earlier import are dropped first.

    Returns:
        Sweeps as in `tune.json`; imported points have `imported` set. Unchanged where nothing was
        imported.
    """
    by_place: dict[Place, list[ImportedRun]] = {}
    for imported in imported_runs(study):
        scale = imported.run.scale
        place = (imported.run.rule, scale.width, scale.depth, scale.units)
        if not imported.origin["extra"]:
            by_place.setdefault(place, []).append(imported)
    if not by_place:
        return list(sweeps)
    own = {
        (sweep["rule"], sweep["width"], sweep["depth"], sweep["units"]): _own(sweep)
        for sweep in sweeps
    }
    searched = [name for name in study.spec.search.hyperparameters if name != "lr"]
    joined = {
        place: _joined(place, own.get(place), by_place.get(place, []), searched)
        for place in sorted({*own, *by_place}, key=_cheapest_first)
    }
    trials = {
        place: [Trial(p["lr"], p["loss"], p["seed"]) for p in sweep["points"]]
        for place, sweep in joined.items()
    }
    optima = fit_optima(
        {
            place: found
            for place, found in trials.items()
            if len({trial.value for trial in found if trial.loss is not None}) >= 2
        }
    )
    return [
        {**sweep, "optimum": optimum_json(optima.get(place))} for place, sweep in joined.items()
    ]


def _own(sweep: dict[str, Any]) -> dict[str, Any] | None:
    """The sweep without what was imported; None where nothing else is left of it."""
    points = [point for point in sweep["points"] if not point.get("imported")]
    return {**sweep, "points": points} if points or not sweep["points"] else None


def _joined(
    place: Place,
    own: dict[str, Any] | None,
    imported: Sequence[ImportedRun],
    searched: Sequence[str],
) -> dict[str, Any]:
    came = {(each.run.recipe.lr, each.run.init_seed, each.loss) for each in imported}
    points = [
        {**point, "imported": True}
        if (point["lr"], point["seed"], point["loss"]) in came
        else point
        for point in ([] if own is None else own["points"])
    ]
    if points and own is not None:
        others = own["others"]
    else:
        others = _best_others(imported, searched) if imported else {}
    known = {(point["lr"], point["seed"]) for point in points}
    added = [
        {"lr": run.run.recipe.lr, "loss": run.loss, "seed": run.run.init_seed, "imported": True}
        for run in imported
        if (run.run.recipe.lr, run.run.init_seed) not in known
        and all(getattr(run.run.recipe, name) == value for name, value in others.items())
    ]
    rule, width, depth, units = place
    return {
        "rule": rule,
        "width": width,
        "depth": depth,
        "units": units,
        "others": others,
        "points": [*points, *added],
    }


def _best_others(imported: Sequence[ImportedRun], searched: Sequence[str]) -> dict[str, float]:
    finite = [(run.loss, place) for place, run in enumerate(imported) if run.loss is not None]
    best = imported[min(finite)[1] if finite else 0]
    return {name: getattr(best.run.recipe, name) for name in searched}


def _cheapest_first(place: Place) -> tuple[Any, ...]:
    rule, width, depth, units = place
    return (width**2 * depth * units, rule)
